package elfw

import (
	"fmt"
	"sort"
)

// Bytes returns the file as ELF. Local symbols are put before the others, as
// the format wants it; apart from that the order of sections and symbols is
// that of the File.
func (f *File) Bytes() ([]byte, error) {
	if f.Type != EtRel {
		return nil, fmt.Errorf("write ELF: only relocatable files can be written, this is type %d", f.Type)
	}
	if len(f.Sections)+1 >= shnLoReserve {
		return nil, fmt.Errorf("write ELF: %d sections are too many", len(f.Sections))
	}
	w := writer{f: f, index: make(map[*Section]uint32, len(f.Sections))}
	return w.bytes()
}

type writer struct {
	f     *File
	index map[*Section]uint32
	body  map[*Section][]byte // what tables come out as
	strs  *strtab             // names of symbols
}

func (w *writer) bytes() ([]byte, error) {
	f := w.f
	if f.shstrtab == nil {
		return nil, fmt.Errorf("write ELF: the file has no table of section names")
	}
	for i, s := range f.Sections {
		w.index[s] = uint32(i + 1)
	}
	w.body = map[*Section][]byte{}
	locals, err := w.symtab()
	if err != nil {
		return nil, err
	}
	names := w.strs // one table may hold both kinds of names
	if f.shstrtab != f.strtab {
		names = newStrtab(f.shstrtab.Data)
	}
	shnames := make([]uint32, len(f.Sections))
	for i, s := range f.Sections {
		shnames[i] = names.add(s.Name, s.nameHint)
	}
	w.body[f.shstrtab] = names.data
	for _, s := range f.Sections {
		if err := w.table(s); err != nil {
			return nil, err
		}
	}
	offs, shoff := w.layout()
	out := make([]byte, shoff+uint64(len(f.Sections)+1)*shdrSize)
	w.header(out, shoff)
	for i, s := range f.Sections {
		body := w.content(s)
		copy(out[offs[i]:], body)
		size := uint64(len(body))
		if s.Type == ShtNobits {
			size = s.Size
		}
		link, info, err := w.linkInfo(s, locals)
		if err != nil {
			return nil, err
		}
		h := out[shoff+uint64(i+1)*shdrSize:]
		le.PutUint32(h, shnames[i])
		le.PutUint32(h[4:], s.Type)
		le.PutUint64(h[8:], s.Flags)
		le.PutUint64(h[16:], s.Addr)
		le.PutUint64(h[24:], offs[i])
		le.PutUint64(h[32:], size)
		le.PutUint32(h[40:], link)
		le.PutUint32(h[44:], info)
		le.PutUint64(h[48:], s.Align)
		le.PutUint64(h[56:], s.EntSize)
	}
	return out, nil
}

func (w *writer) header(out []byte, shoff uint64) {
	f := w.f
	copy(out, "\x7fELF")
	out[4], out[5], out[6], out[7], out[8] = elfClass64, elfData2LSB, evCurrent, f.OSABI, f.ABIVer
	le.PutUint16(out[16:], f.Type)
	le.PutUint16(out[18:], f.Machine)
	le.PutUint32(out[20:], evCurrent)
	le.PutUint64(out[24:], f.Entry)
	le.PutUint64(out[40:], shoff)
	le.PutUint32(out[48:], f.Flags)
	le.PutUint16(out[52:], ehdrSize)
	le.PutUint16(out[58:], shdrSize)
	le.PutUint16(out[60:], uint16(len(f.Sections)+1))
	le.PutUint16(out[62:], uint16(w.index[f.shstrtab]))
}

// symtab builds the symbol and string tables, and returns how many symbols are
// local, the null symbol included.
func (w *writer) symtab() (uint32, error) {
	f := w.f
	if f.symtab == nil {
		if len(f.Symbols) > 0 {
			return 0, fmt.Errorf("write ELF: the file has symbols but no symbol table")
		}
		return 0, nil
	}
	sort.SliceStable(f.Symbols, func(i, j int) bool {
		return f.Symbols[i].Bind == StbLocal && f.Symbols[j].Bind != StbLocal
	})
	strs := newStrtab(f.strtab.Data)
	w.strs = strs
	tab := make([]byte, (len(f.Symbols)+1)*SymSize)
	locals := uint32(1)
	for i, s := range f.Symbols {
		s.index = uint32(i + 1)
		if s.Bind == StbLocal {
			locals++
		}
		ndx := s.Shndx
		if s.Section != nil {
			n, ok := w.index[s.Section]
			if !ok {
				return 0, fmt.Errorf("write ELF: symbol %q is in section %q, which is not in the file", s.Name, s.Section.Name)
			}
			ndx = uint16(n)
		}
		e := tab[(i+1)*SymSize:]
		le.PutUint32(e, strs.add(s.Name, s.nameHint))
		e[4] = uint8(s.Bind)<<4 | uint8(s.Type)&15
		e[5] = s.Other
		le.PutUint16(e[6:], ndx)
		le.PutUint64(e[8:], s.Value)
		le.PutUint64(e[16:], s.Size)
	}
	w.body[f.symtab], w.body[f.strtab] = tab, strs.data
	return locals, nil
}

// has reports whether the symbol was given a number in this file.
func (w *writer) has(s *Symbol) bool {
	return s.index > 0 && int(s.index) <= len(w.f.Symbols) && w.f.Symbols[s.index-1] == s
}

// table builds the content of relocation and group sections.
func (w *writer) table(s *Section) error {
	switch {
	case s.Type == ShtRela && s.Relocs != nil:
		b := make([]byte, len(s.Relocs)*RelaSize)
		for i, r := range s.Relocs {
			var ndx uint32
			if r.Sym != nil {
				if !w.has(r.Sym) {
					return fmt.Errorf("write ELF: a relocation of %s names symbol %q, which is not in the file", s.Name, r.Sym.Name)
				}
				ndx = r.Sym.index
			}
			e := b[i*RelaSize:]
			le.PutUint64(e, r.Off)
			le.PutUint64(e[8:], uint64(ndx)<<32|uint64(r.Type))
			le.PutUint64(e[16:], uint64(r.Addend))
		}
		w.body[s] = b
	case s.Type == ShtGroup && s.Group != nil:
		b := le.AppendUint32(nil, s.Group.Flags)
		for _, m := range s.Group.Members {
			n, ok := w.index[m]
			if !ok {
				return fmt.Errorf("write ELF: group %s names section %q, which is not in the file", s.Name, m.Name)
			}
			b = le.AppendUint32(b, n)
		}
		w.body[s] = b
	}
	return nil
}

func (w *writer) content(s *Section) []byte {
	if b, ok := w.body[s]; ok {
		return b
	}
	if s.Type == ShtNobits || s.Type == ShtNull {
		return nil
	}
	return s.Data
}

// layout gives every section a place. Those that were read are laid in the
// order of their old offsets, and keep them as long as nothing before them
// grew.
func (w *writer) layout() (offs []uint64, shoff uint64) {
	secs := w.f.Sections
	order := make([]int, len(secs))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool {
		a, b := secs[order[i]].offset, secs[order[j]].offset
		if a == 0 || b == 0 {
			return a != 0 && b == 0
		}
		return a < b
	})
	offs = make([]uint64, len(secs))
	at := uint64(ehdrSize)
	for _, i := range order {
		s := secs[i]
		if s.Type == ShtNull {
			offs[i] = s.offset
			continue
		}
		// A remembered offset is kept only when it is what alignment would
		// give: anything else is a gap that nobody needs.
		next := alignUp(at, s.Align)
		if s.offset == at || (s.offset >= at && s.offset < next) {
			next = s.offset // linkers do not align what takes no space
		}
		offs[i] = next
		at = next + uint64(len(w.content(s)))
	}
	return offs, alignUp(at, 8)
}

func (w *writer) linkInfo(s *Section, locals uint32) (link, info uint32, err error) {
	sec := func(t *Section) uint32 {
		n, ok := w.index[t]
		if t != nil && !ok && err == nil {
			err = fmt.Errorf("write ELF: section %q refers to section %q, which is not in the file", s.Name, t.Name)
		}
		return n
	}
	l := s.Link
	switch s.Type {
	case ShtSymtab:
		return sec(l), locals, err
	case ShtRela, ShtGroup:
		l = w.f.symtab
	}
	info = s.Info
	if s.Target != nil {
		info = sec(s.Target)
	}
	if s.Group != nil && s.Group.Signature != nil {
		if !w.has(s.Group.Signature) {
			return 0, 0, fmt.Errorf("write ELF: the signature of group %s is not in the file", s.Name)
		}
		info = s.Group.Signature.index
	}
	return sec(l), info, err
}

func alignUp(n, a uint64) uint64 {
	if a <= 1 {
		return n
	}
	return (n + a - 1) &^ (a - 1)
}

// strtab is a string table that is only ever added to.
type strtab struct {
	data  []byte
	added map[string]uint32
}

func newStrtab(old []byte) *strtab {
	if len(old) == 0 {
		old = []byte{0}
	}
	return &strtab{data: old[:len(old):len(old)], added: map[string]uint32{}}
}

// add returns the offset of a string: the remembered one if the string is
// still there, that of an equal string added before, or a new one.
func (t *strtab) add(s string, hint uint32) uint32 {
	if end := uint64(hint) + uint64(len(s)); end < uint64(len(t.data)) && string(t.data[hint:end]) == s && t.data[end] == 0 {
		return hint
	}
	if s == "" {
		return 0
	}
	off, ok := t.added[s]
	if !ok {
		off = uint32(len(t.data))
		t.data = append(append(t.data, s...), 0)
		t.added[s] = off
	}
	return off
}
