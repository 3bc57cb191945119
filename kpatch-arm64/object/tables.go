package object

import (
	"fmt"
	"sort"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/elfw"
)

// readTables reads the special tables, finds the function each entry is about,
// and makes atoms of the replacement code that lies outside functions. It also
// widens functions to the patch site before them.
func (o *Object) readTables(tables []*elfw.Section) error {
	o.sortAtoms()
	repls := map[region]*Atom{}
	for _, s := range tables {
		t := o.Arch.Special(s.Name)
		relocs := sortedRelocs(o.File, s)
		size, err := entrySize(t, s, relocs)
		if err != nil {
			return err
		}
		if size == 0 {
			continue
		}
		for off := uint64(0); off < s.Len(); off += size {
			e := &Entry{Table: t, Section: s, Off: off, Data: s.Data[off : off+size]}
			o.Entries = append(o.Entries, e)
			r, ok := relocAt(relocs, off+t.Owner)
			if !ok {
				continue
			}
			o.own(e, r)
			if t.Replacement != nil && e.Owner != nil {
				if r, ok := relocAt(relocs, off+t.Replacement.Off); ok {
					o.replacement(e, r, repls)
				}
			}
		}
	}
	for _, a := range repls {
		o.Atoms = append(o.Atoms, a)
		o.bySection[a.Section] = append(o.bySection[a.Section], a)
	}
	return nil
}

// sortedRelocs returns all relocations of a section by offset.
func sortedRelocs(f *elfw.File, s *elfw.Section) []elfw.Reloc {
	var list []elfw.Reloc
	for _, rs := range f.RelocsOf(s) {
		list = append(list, rs.Relocs...)
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Off < list[j].Off })
	return list
}

func relocAt(relocs []elfw.Reloc, off uint64) (elfw.Reloc, bool) {
	i := sort.Search(len(relocs), func(i int) bool { return relocs[i].Off >= off })
	if i < len(relocs) && relocs[i].Off == off {
		return relocs[i], true
	}
	return elfw.Reloc{}, false
}

// entrySize finds out which of the sizes a table's entries may have it uses:
// the one at which every entry points to code. It is 0 for an empty table.
func entrySize(t *arch.Special, s *elfw.Section, relocs []elfw.Reloc) (uint64, error) {
	if s.Len() == 0 {
		return 0, nil
	}
	if s.Type != elfw.ShtNobits {
		for _, size := range t.Sizes {
			if s.Len()%size != 0 {
				continue
			}
			fits := true
			for off := uint64(0); off < s.Len() && fits; off += size {
				_, fits = relocAt(relocs, off+t.Owner)
			}
			if fits {
				return size, nil
			}
		}
	}
	return 0, fmt.Errorf("the table %s has %d bytes, which cannot be divided into entries: it is not laid out as this kernel version does it", s.Name, s.Len())
}

// position returns the place in a section that a relocation means; ok is false
// if it means a symbol that is defined elsewhere.
func (o *Object) position(r elfw.Reloc) (sec *elfw.Section, pos int64, ok bool) {
	if r.Sym == nil || r.Sym.Section == nil {
		return nil, 0, false
	}
	f, _ := o.Arch.Field(r.Type)
	return r.Sym.Section, int64(r.Sym.Value) + r.Addend + f.Bias, true
}

// own finds the function that a table entry is about.
func (o *Object) own(e *Entry, r elfw.Reloc) {
	sec, pos, ok := o.position(r)
	if !ok || !sec.Is(elfw.ShfExecinstr) {
		return
	}
	list := o.bySection[sec]
	// A patch site may lie before its function, where nothing else is.
	i := sort.Search(len(list), func(i int) bool { return int64(list[i].End) > pos })
	if i == len(list) {
		return
	}
	a := list[i]
	if pos < int64(a.Start) {
		if !e.Table.Site || pos < 0 {
			return
		}
		a.Entry += a.Start - uint64(pos)
		a.Start = uint64(pos)
	}
	e.Owner, e.At = a, pos-int64(a.Start+a.Entry)
	a.Entries = append(a.Entries, e)
}

// region is a range of a section.
type region struct {
	sec        *elfw.Section
	start, end uint64
}

// replacement makes an atom of the code that an alternative brings along,
// unless it lies in a function. The atoms made are kept apart until all tables
// are read, since the functions are searched meanwhile.
func (o *Object) replacement(e *Entry, r elfw.Reloc, made map[region]*Atom) {
	sec, pos, ok := o.position(r)
	if !ok || !sec.Is(elfw.ShfExecinstr) || pos < 0 {
		return
	}
	size := uint64(e.Data[e.Table.Replacement.Len])
	at := region{sec, uint64(pos), uint64(pos) + size}
	if size == 0 || at.end > sec.Len() {
		return // a callback, or nonsense that will not compare as equal
	}
	if e.Repl = made[at]; e.Repl != nil {
		return
	}
	list := o.bySection[sec]
	i := sort.Search(len(list), func(i int) bool { return list[i].End > at.start })
	if i < len(list) && list[i].Start < at.end {
		return
	}
	e.Repl = &Atom{Kind: Repl, Section: sec, Start: at.start, End: at.end, Parent: e.Owner}
	made[at] = e.Repl
}
