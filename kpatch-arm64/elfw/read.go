package elfw

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sort"
	"strings"
)

// maxName is the longest section or symbol name that is taken, in bytes; the
// kernel's own limit (KSYM_NAME_LEN) is 512. It bounds the time that a string
// table without terminators costs.
const maxName = 4096

var le = binary.LittleEndian

// FormatError says that the input is no file this package can read.
type FormatError struct {
	Off  uint64 // where in the file
	What string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("not a usable ELF file: %s (at offset %#x)", e.What, e.Off)
}

func badf(off uint64, format string, args ...any) error {
	return &FormatError{Off: off, What: fmt.Sprintf(format, args...)}
}

// ErrNotELF is wrapped by the error for input that is no ELF file at all.
var ErrNotELF = errors.New("it does not begin as an ELF file does")

// Read reads a file from its content, which the result refers to: the caller
// must not change it while the file is in use.
func Read(data []byte) (*File, error) {
	r := reader{data: data}
	if err := r.header(); err != nil {
		return nil, err
	}
	for _, step := range []func() error{r.sections, r.names, r.links, r.symbols, r.relocs, r.groups} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r.f, nil
}

// shdr is a section header as it lies in the file.
type shdr struct {
	name, typ             uint32
	flags, addr, off, len uint64
	link, info            uint32
	align, entsize        uint64
}

type reader struct {
	data     []byte
	f        *File
	shoff    uint64
	shnum    int
	shstrndx int
	hdrs     []shdr     // including the null section
	secs     []*Section // by section index; nil for the null section
	symSec   int
	syms     []*Symbol // by symbol index; nil for the null symbol
}

func (r *reader) header() error {
	d := r.data
	if len(d) < ehdrSize || !bytes.HasPrefix(d, []byte("\x7fELF")) {
		return fmt.Errorf("%w (%d bytes)", ErrNotELF, len(d))
	}
	switch {
	case d[4] != elfClass64:
		return badf(4, "it is not 64-bit")
	case d[5] != elfData2LSB:
		return badf(5, "it is not little-endian")
	case d[6] != evCurrent:
		return badf(6, "unknown ELF version %d", d[6])
	}
	f := &File{
		OSABI: d[7], ABIVer: d[8],
		Type: le.Uint16(d[16:]), Machine: le.Uint16(d[18:]),
		Entry: le.Uint64(d[24:]), Flags: le.Uint32(d[48:]),
	}
	r.f = f
	r.shoff = le.Uint64(d[40:])
	if n := le.Uint16(d[58:]); n != shdrSize {
		return badf(58, "section headers are %d bytes, not %d", n, shdrSize)
	}
	r.shnum = int(le.Uint16(d[60:]))
	r.shstrndx = int(le.Uint16(d[62:]))
	if r.shnum == 0 || r.shnum >= shnLoReserve {
		return badf(60, "%d sections: none, or more than the 65279 that are supported", r.shnum)
	}
	if r.shoff > uint64(len(d)) || uint64(len(d))-r.shoff < uint64(r.shnum)*shdrSize {
		return badf(40, "the section headers lie outside the file: it is truncated")
	}
	if r.shstrndx <= 0 || r.shstrndx >= r.shnum {
		return badf(62, "no table of section names")
	}
	return nil
}

// sections reads the headers and takes the contents as slices of the input.
func (r *reader) sections() error {
	r.hdrs = make([]shdr, r.shnum)
	r.secs = make([]*Section, r.shnum)
	type span struct{ off, end uint64 }
	spans := make([]span, 0, r.shnum)
	for i := range r.hdrs {
		at := r.shoff + uint64(i)*shdrSize
		h := r.data[at:]
		hd := shdr{
			name: le.Uint32(h), typ: le.Uint32(h[4:]), flags: le.Uint64(h[8:]),
			addr: le.Uint64(h[16:]), off: le.Uint64(h[24:]), len: le.Uint64(h[32:]),
			link: le.Uint32(h[40:]), info: le.Uint32(h[44:]),
			align: le.Uint64(h[48:]), entsize: le.Uint64(h[56:]),
		}
		r.hdrs[i] = hd
		if i == 0 {
			continue
		}
		if bits.OnesCount64(hd.align) > 1 || hd.align > 1<<32 {
			return badf(at, "section %d has the alignment %#x", i, hd.align)
		}
		s := &Section{
			Type: hd.typ, Flags: hd.flags, Addr: hd.addr, Align: hd.align, EntSize: hd.entsize,
			offset: hd.off, nameHint: hd.name,
		}
		if hd.typ == ShtNobits {
			if hd.len > 1<<40 {
				return badf(at, "section %d claims %#x bytes", i, hd.len)
			}
			s.Size = hd.len
		} else if hd.typ != ShtNull && hd.len > 0 {
			if hd.off > uint64(len(r.data)) || uint64(len(r.data))-hd.off < hd.len {
				return badf(at, "section %d lies outside the file: it is truncated", i)
			}
			s.Data = r.data[hd.off : hd.off+hd.len : hd.off+hd.len]
			spans = append(spans, span{hd.off, hd.off + hd.len})
		}
		r.secs[i] = s
		r.f.Sections = append(r.f.Sections, s)
	}
	// Tables that share their bytes would let a small file unfold into a
	// large one.
	sort.Slice(spans, func(i, j int) bool { return spans[i].off < spans[j].off })
	for i := 1; i < len(spans); i++ {
		if spans[i].off < spans[i-1].end {
			return badf(spans[i].off, "two sections overlap")
		}
	}
	return nil
}

// str returns the string at off in a string table.
func str(tab string, off uint32) (string, bool) {
	if uint64(off) >= uint64(len(tab)) {
		return "", off == 0
	}
	t := tab[off:]
	if len(t) > maxName {
		t = t[:maxName]
	}
	n := strings.IndexByte(t, 0)
	if n < 0 {
		return "", false
	}
	return t[:n], true
}

func (r *reader) names() error {
	s := r.secs[r.shstrndx]
	if s.Type != ShtStrtab {
		return badf(62, "the table of section names is not a string table")
	}
	r.f.shstrtab = s
	tab := string(s.Data)
	for i, sec := range r.secs[1:] {
		var ok bool
		if sec.Name, ok = str(tab, r.hdrs[i+1].name); !ok {
			return badf(r.shoff+uint64(i+1)*shdrSize, "section %d has no usable name", i+1)
		}
	}
	return nil
}

// links resolves sh_link and sh_info, and finds the symbol table.
func (r *reader) links() error {
	for i := 1; i < r.shnum; i++ {
		s, h := r.secs[i], r.hdrs[i]
		at := r.shoff + uint64(i)*shdrSize
		if h.link != 0 {
			if int64(h.link) >= int64(r.shnum) {
				return badf(at, "section %s links to section %d of %d", s.Name, h.link, r.shnum)
			}
			s.Link = r.secs[h.link]
		}
		switch {
		case h.typ == ShtSymtab:
			if r.symSec != 0 {
				return badf(at, "there are two symbol tables")
			}
			r.symSec = i
		case h.typ == ShtRela || h.flags&ShfInfoLink != 0:
			if int64(h.info) >= int64(r.shnum) {
				return badf(at, "section %s names section %d of %d", s.Name, h.info, r.shnum)
			}
			if h.info != 0 {
				s.Target = r.secs[h.info]
			}
		case h.typ != ShtGroup:
			s.Info = h.info
		}
	}
	return nil
}

func (r *reader) symbols() error {
	if r.symSec == 0 {
		return nil
	}
	s := r.secs[r.symSec]
	at := r.hdrs[r.symSec].off
	if len(s.Data)%SymSize != 0 || s.Link == nil || s.Link.Type != ShtStrtab {
		return badf(at, "the symbol table is malformed")
	}
	r.f.symtab, r.f.strtab = s, s.Link
	tab := string(s.Link.Data)
	n := len(s.Data) / SymSize
	r.syms = make([]*Symbol, n)
	all := make([]Symbol, n)
	for i := 1; i < n; i++ {
		e := s.Data[i*SymSize:]
		sym := &all[i]
		*sym = Symbol{
			nameHint: le.Uint32(e), Bind: Bind(e[4] >> 4), Type: SymType(e[4] & 15), Other: e[5],
			Value: le.Uint64(e[8:]), Size: le.Uint64(e[16:]),
		}
		off := at + uint64(i)*SymSize
		var ok bool
		if sym.Name, ok = str(tab, sym.nameHint); !ok {
			return badf(off, "symbol %d has no usable name", i)
		}
		ndx := le.Uint16(e[6:])
		switch {
		case ndx == ShnXindex:
			return badf(off, "symbol %s uses an extended section index, which is not supported", sym.Name)
		case ndx == ShnUndef || ndx >= shnLoReserve:
			sym.Shndx = ndx
		case int(ndx) < r.shnum:
			sym.Section = r.secs[ndx]
		default:
			return badf(off, "symbol %s is in section %d of %d", sym.Name, ndx, r.shnum)
		}
		r.syms[i] = sym
	}
	if n > 1 {
		r.f.Symbols = append([]*Symbol(nil), r.syms[1:]...)
	}
	s.Data = nil
	return nil
}

func (r *reader) relocs() error {
	for i := 1; i < r.shnum; i++ {
		s := r.secs[i]
		if s.Type != ShtRela {
			continue
		}
		at := r.hdrs[i].off
		if len(s.Data)%RelaSize != 0 {
			return badf(at, "relocation section %s is malformed", s.Name)
		}
		if len(s.Data) > 0 && (s.Link == nil || s.Link != r.f.symtab) {
			if r.f.Type != EtRel { // of a linked file: against the dynamic symbols, not for us
				s.Data = nil
				continue
			}
			return badf(at, "relocation section %s does not use the symbol table", s.Name)
		}
		s.Relocs = make([]Reloc, len(s.Data)/RelaSize)
		for k := range s.Relocs {
			e := s.Data[k*RelaSize:]
			info := le.Uint64(e[8:])
			ndx := info >> 32
			if ndx >= uint64(len(r.syms)) {
				return badf(at+uint64(k)*RelaSize, "a relocation names symbol %d of %d", ndx, len(r.syms))
			}
			s.Relocs[k] = Reloc{Off: le.Uint64(e), Type: uint32(info), Sym: r.syms[ndx], Addend: int64(le.Uint64(e[16:]))}
		}
		s.Data = nil
	}
	return nil
}

func (r *reader) groups() error {
	for i := 1; i < r.shnum; i++ {
		s, h := r.secs[i], r.hdrs[i]
		if s.Type != ShtGroup {
			continue
		}
		if len(s.Data) < 4 || len(s.Data)%4 != 0 || int64(h.info) >= int64(len(r.syms)) {
			return badf(h.off, "section group %s is malformed", s.Name)
		}
		g := &Group{Flags: le.Uint32(s.Data), Signature: r.syms[h.info]}
		for o := 4; o < len(s.Data); o += 4 {
			ndx := le.Uint32(s.Data[o:])
			if ndx == 0 || int64(ndx) >= int64(r.shnum) {
				return badf(h.off+uint64(o), "section group %s names section %d of %d", s.Name, ndx, r.shnum)
			}
			g.Members = append(g.Members, r.secs[ndx])
		}
		s.Group, s.Data = g, nil
	}
	return nil
}
