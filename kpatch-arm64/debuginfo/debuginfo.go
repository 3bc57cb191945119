// Package debuginfo answers three questions from an object's DWARF: which
// source line a place in the code belongs to, where a static variable of a
// function was declared, and how its structs are laid out.
//
// An object's sections all start at address 0, so DWARF alone cannot tell one
// function's section from another's. Here every section is given an address
// range of its own before the debug sections' relocations are applied.
package debuginfo

import (
	"debug/dwarf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/elfw"
)

// ErrNone says that the object was compiled without debug information.
var ErrNone = errors.New("the object has no debug information")

// sectionShift makes room for 1 TiB in each section's address range.
const sectionShift = 40

// Info is the debug information of one object.
type Info struct {
	data  *dwarf.Data
	base  map[*elfw.Section]uint64
	lines []line
}

// line is one row of a line table; rows of a section are in address order.
type line struct {
	addr uint64
	file string
	num  int
	end  bool
}

// Open reads the debug information of an object.
func Open(f *elfw.File, a arch.Arch) (info *Info, err error) {
	// The DWARF reader is the standard library's; input that makes it panic
	// must not take us along.
	defer func() {
		if p := recover(); p != nil {
			info, err = nil, fmt.Errorf("read debug information: %v", p)
		}
	}()
	i := &Info{base: map[*elfw.Section]uint64{}}
	for n, s := range f.Sections {
		if s.Is(elfw.ShfAlloc) {
			i.base[s] = uint64(n+1) << sectionShift
		}
	}
	secs := map[string][]byte{}
	for _, s := range f.Sections {
		if !strings.HasPrefix(s.Name, ".debug_") || s.Type != elfw.ShtProgbits {
			continue
		}
		if s.Is(elfw.ShfCompressed) {
			return nil, fmt.Errorf("read debug information: %s is compressed, which is not supported", s.Name)
		}
		secs[s.Name[len(".debug_"):]] = i.relocated(f, s, a)
	}
	if len(secs["info"]) == 0 {
		return nil, ErrNone
	}
	i.data, err = dwarf.New(secs["abbrev"], nil, nil, secs["info"], secs["line"], nil, secs["ranges"], secs["str"])
	if err != nil {
		return nil, fmt.Errorf("read debug information: %w", err)
	}
	for _, n := range []string{"addr", "line_str", "str_offsets", "rnglists"} {
		if err := i.data.AddSection(".debug_"+n, secs[n]); err != nil {
			return nil, fmt.Errorf("read debug information: %w", err)
		}
	}
	return i, nil
}

// relocated returns a debug section's content with its relocations applied.
func (i *Info) relocated(f *elfw.File, s *elfw.Section, a arch.Arch) []byte {
	out := s.Data
	for _, rs := range f.RelocsOf(s) {
		if len(rs.Relocs) > 0 && &out[0] == &s.Data[0] {
			out = append([]byte(nil), s.Data...)
		}
		for _, r := range rs.Relocs {
			fl, ok := a.Field(r.Type)
			if !ok || r.Sym == nil || r.Off > uint64(len(out)) || uint64(len(out))-r.Off < uint64(fl.Size) {
				continue
			}
			v := r.Sym.Value + uint64(r.Addend)
			if r.Sym.Section != nil {
				v += i.base[r.Sym.Section]
			}
			switch p := out[r.Off:]; fl.Size {
			case 4:
				binary.LittleEndian.PutUint32(p, uint32(v))
			case 8:
				binary.LittleEndian.PutUint64(p, v)
			}
		}
	}
	return out
}

// Line returns the source line of an offset in a section, or "" and 0. The
// file is named as the compiler was told it.
func (i *Info) Line(s *elfw.Section, off uint64) (file string, num int) {
	if i == nil {
		return "", 0
	}
	if i.lines == nil {
		i.readLines()
	}
	addr := i.base[s] + off
	n := sort.Search(len(i.lines), func(n int) bool { return i.lines[n].addr > addr })
	for n--; n >= 0 && i.lines[n].addr>>sectionShift == addr>>sectionShift; n-- {
		l := i.lines[n]
		if l.end {
			return "", 0
		}
		if l.num > 0 {
			return l.file, l.num
		}
	}
	return "", 0
}

func (i *Info) readLines() {
	defer func() { _ = recover() }() // no line is better than no answer at all
	i.lines = []line{}
	r := i.data.Reader()
	for {
		cu, err := r.Next()
		if err != nil || cu == nil {
			break
		}
		r.SkipChildren()
		if lr, err := i.data.LineReader(cu); err == nil && lr != nil {
			i.readTable(lr, compDir(cu))
		}
	}
	sort.SliceStable(i.lines, func(a, b int) bool {
		x, y := i.lines[a], i.lines[b]
		return x.addr < y.addr || x.addr == y.addr && x.end && !y.end
	})
}

// compDir returns the directory the compiler ran in, with a slash behind. Names
// of files are taken relative to it, so that they do not depend on where a copy
// of the source was compiled.
func compDir(cu *dwarf.Entry) string {
	dir, _ := cu.Val(dwarf.AttrCompDir).(string)
	return dir + "/"
}

func (i *Info) readTable(lr *dwarf.LineReader, dir string) {
	var e dwarf.LineEntry
	for {
		if err := lr.Next(&e); err != nil {
			if err != io.EOF {
				i.lines = append(i.lines, line{addr: ^uint64(0), end: true})
			}
			return
		}
		l := line{addr: e.Address, num: e.Line, end: e.EndSequence}
		if e.File != nil {
			l.file = strings.TrimPrefix(e.File.Name, dir)
		}
		i.lines = append(i.lines, l)
	}
}
