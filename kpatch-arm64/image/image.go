package image

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"strings"

	"cloudkernel/kpatch-arm64/elfw"
)

// Vmlinux is the name livepatch gives the kernel proper among its objects.
const Vmlinux = "vmlinux"

// Image is a linked kernel, or a module.
type Image struct {
	// Name is Vmlinux, or the module's name with underscores.
	Name string
	// BuildID is the GNU build-id in hexadecimal, "" if there is none.
	BuildID string
	// Machine is the ELF machine number.
	Machine uint16

	syms  map[string][]sym // in the order the kernel counts in
	init  []span
	files []file // by the number in sym.file
}

// sym is a symbol of the image. In a module, addresses are made up: the
// number of the section above, the offset below.
type sym struct {
	addr, size uint64
	seq        int // position in the symbol table
	global     bool
	weak       bool
	init       bool
	file       int // which STT_FILE symbol came before it
}

// file is the part of a symbol table that follows a STT_FILE symbol: the local
// symbols of one object.
type file struct {
	name   string
	locals map[string]int
}

type span struct{ from, to uint64 }

const moduleShift = 40

// ReadVmlinux reads a kernel from the content of vmlinux.
func ReadVmlinux(data []byte) (*Image, error) {
	f, err := elfw.Read(data)
	if err != nil {
		return nil, err
	}
	if f.Type != elfw.EtExec && f.Type != elfw.EtDyn {
		return nil, errors.New("this is not a linked kernel image")
	}
	im := newImage(Vmlinux, f)
	im.BuildID = buildID(f)
	begin, ok1 := im.only("__init_begin")
	end, ok2 := im.only("__init_end")
	if !ok1 || !ok2 {
		return nil, errors.New("this is not a linked kernel: it has no symbols __init_begin and __init_end (a stripped vmlinux does not do)")
	}
	im.init = []span{{begin, end}}
	// The linker puts the initial per-CPU area among what is thrown away: the
	// variables live on in copies, which code finds by the address there.
	from, ok1 := im.only("__per_cpu_start")
	to, ok2 := im.only("__per_cpu_end")
	if ok1 && ok2 && begin <= from && from <= to && to <= end {
		im.init = []span{{begin, from}, {to, end}}
	}
	for _, list := range im.syms {
		sort.SliceStable(list, func(i, j int) bool { return list[i].addr < list[j].addr })
	}
	return im, nil
}

// ReadModule reads a module from the content of its .ko.
func ReadModule(name string, data []byte) (*Image, error) {
	f, err := elfw.Read(data)
	if err != nil {
		return nil, err
	}
	if f.Type != elfw.EtRel {
		return nil, errors.New("this is not a kernel module")
	}
	im := newImage(name, f)
	im.BuildID = buildID(f)
	return im, nil
}

func newImage(name string, f *elfw.File) *Image {
	im := &Image{Name: name, Machine: f.Machine, syms: make(map[string][]sym, len(f.Symbols))}
	index := make(map[*elfw.Section]uint64, len(f.Sections))
	for i, s := range f.Sections {
		index[s] = uint64(i + 1)
	}
	im.files = []file{{}}
	for i, s := range f.Symbols {
		if s.Type == elfw.SttFile {
			im.files = append(im.files, file{s.Name, map[string]int{}})
		}
		if s.Section == nil || !s.Section.Is(elfw.ShfAlloc) || !listed(s) {
			continue
		}
		addr := s.Value
		if f.Type == elfw.EtRel {
			addr |= index[s.Section] << moduleShift
		}
		part := len(im.files) - 1
		if l := im.files[part].locals; l != nil && s.Bind == elfw.StbLocal {
			l[s.Name]++
		}
		im.syms[s.Name] = append(im.syms[s.Name], sym{
			addr: addr, size: s.Size, seq: i, file: part,
			global: s.Bind != elfw.StbLocal, weak: s.Bind == elfw.StbWeak,
			init: f.Type == elfw.EtRel && initSection(s.Section.Name),
		})
	}
	return im
}

func initSection(name string) bool {
	return strings.HasPrefix(name, ".init") || strings.HasPrefix(name, ".exit")
}

// listed reports whether a symbol is in kallsyms: scripts/mksysmap drops these.
func listed(s *elfw.Symbol) bool {
	if s.Type == elfw.SttSection || s.Type == elfw.SttFile || s.Name == "" {
		return false
	}
	for _, p := range []string{"$", ".L", "__efistub_", "__pi_$", "__pi_.L", "__kvm_nvhe_$", "__kvm_nvhe_.L", "__kcfi_typeid_", "__kvm_nvhe___kcfi_typeid_", "__pi___kcfi_typeid_", "__crc_", "__kstrtab_", "__kstrtabns_"} {
		if strings.HasPrefix(s.Name, p) {
			return false
		}
	}
	for _, p := range []string{"_from_arm", "_from_thumb", "_veneer"} {
		if strings.HasSuffix(s.Name, p) {
			return false
		}
	}
	return true
}

// only returns the address of a symbol if there is just one of its name.
func (im *Image) only(name string) (uint64, bool) {
	list := im.syms[name]
	if len(list) != 1 {
		return 0, false
	}
	return list[0].addr, true
}

// Symbol says how livepatch finds a symbol of an image.
type Symbol struct {
	Object string // Vmlinux or a module's name
	Name   string
	// Pos is the symbol's position among those of its name, from 1; 0 means
	// that there is no other.
	Pos int
	// Init is set for what is gone once the kernel or module is initialised.
	Init bool
}

// Global returns the global symbol of a name; ok is false if the image does
// not define it.
func (im *Image) Global(name string) (Symbol, bool) {
	for _, s := range im.syms[name] {
		if s.global {
			return im.symbol(name, s), true
		}
	}
	return Symbol{}, false
}

// symbol describes one of the symbols of a name.
func (im *Image) symbol(name string, s sym) Symbol {
	list := im.syms[name]
	r := Symbol{Object: im.Name, Name: name, Init: s.init}
	for _, sp := range im.init {
		if s.addr >= sp.from && s.addr < sp.to {
			r.Init = true
		}
	}
	if len(list) == 1 {
		return r
	}
	for i, o := range list {
		if o.addr == s.addr { // of two at one address, either will do
			r.Pos = i + 1
			break
		}
	}
	return r
}

// buildID returns the build-id from the note that linkers put into an image.
func buildID(f *elfw.File) string {
	for _, s := range f.Sections {
		if s.Type != elfw.ShtNote {
			continue
		}
		for _, n := range Notes(s.Data) {
			if n.Name == "GNU" && n.Type == 3 { // NT_GNU_BUILD_ID
				return hex.EncodeToString(n.Desc)
			}
		}
	}
	return ""
}

// Note is one ELF note.
type Note struct {
	Name string
	Type uint32
	Desc []byte
}

// Notes splits the content of a note section, which is also what
// /sys/kernel/notes and /sys/module/*/notes/* hold. What follows a malformed
// note is left out.
func Notes(b []byte) []Note {
	var list []Note
	for len(b) >= 12 {
		le := binary.LittleEndian
		nameLen, descLen, typ := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), le.Uint32(b[8:])
		b = b[12:]
		pad := func(n uint64) uint64 { return (n + 3) &^ 3 }
		if pad(nameLen) > uint64(len(b)) || nameLen+descLen > uint64(len(b)) {
			break
		}
		name := bytes.TrimRight(b[:nameLen], "\x00")
		b = b[pad(nameLen):]
		if descLen > uint64(len(b)) {
			break
		}
		list = append(list, Note{string(name), typ, b[:descLen]})
		b = b[min(pad(descLen), uint64(len(b))):]
	}
	return list
}

// errf makes an error about the image.
func (im *Image) errf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", im.Name, fmt.Errorf(format, args...))
}
