package object

import (
	"fmt"
	"sort"
	"strings"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/elfw"
)

// Read takes apart the object in data. It must be relocatable and of the
// architecture a; data must not change while the object is in use.
func Read(data []byte, a arch.Arch) (*Object, error) {
	f, err := elfw.Read(data)
	if err != nil {
		return nil, err
	}
	if f.Type != elfw.EtRel {
		return nil, fmt.Errorf("this is a linked file (ELF type %d), not an object (.o)", f.Type)
	}
	if f.Machine != a.Machine() {
		return nil, fmt.Errorf("this object is for ELF machine %d, not for %s", f.Machine, a.Name())
	}
	return Split(f, a)
}

// Split takes apart a file that was read.
func Split(f *elfw.File, a arch.Arch) (*Object, error) {
	o := &Object{File: f, Arch: a, bySection: map[*elfw.Section][]*Atom{}, bySymbol: map[*elfw.Symbol]place{}}
	syms := map[*elfw.Section][]*elfw.Symbol{}
	for _, s := range f.Symbols {
		if s.Section != nil && names(s) {
			syms[s.Section] = append(syms[s.Section], s)
		}
	}
	var tables []*elfw.Section
	for _, s := range f.Sections {
		switch {
		case !s.Is(elfw.ShfAlloc) || s.Type == elfw.ShtNote:
		case a.Special(s.Name) != nil:
			tables = append(tables, s)
		case s.Is(elfw.ShfMerge) && s.EntSize > 0 && s.Type != elfw.ShtNobits:
			o.add(&Atom{Kind: Pool, Section: s, End: s.Len(), Alone: true})
		case s.Is(elfw.ShfExecinstr):
			o.functions(s, syms[s])
		default:
			o.data(s, syms[s])
		}
	}
	if err := o.readTables(tables); err != nil {
		return nil, err
	}
	o.sortAtoms()
	for _, s := range f.Sections {
		if s.Is(elfw.ShfExecinstr | elfw.ShfAlloc) {
			o.leftovers(s)
		}
	}
	o.sortAtoms()
	o.references()
	o.entryRefs()
	o.parents()
	index := make(map[*elfw.Section]int, len(f.Sections))
	for i, s := range f.Sections {
		index[s] = i
	}
	sort.SliceStable(o.Atoms, func(i, j int) bool {
		a, b := o.Atoms[i], o.Atoms[j]
		if a.Section != b.Section {
			return index[a.Section] < index[b.Section]
		}
		return a.Start < b.Start
	})
	return o, nil
}

// names reports whether a symbol names something of the source, rather than a
// section, a file, or a stretch of code or data ($x, $d).
func names(s *elfw.Symbol) bool {
	return s.Type != elfw.SttSection && s.Type != elfw.SttFile && s.Name != "" &&
		!strings.HasPrefix(s.Name, "$") && !strings.HasPrefix(s.Name, ".L")
}

func (o *Object) add(a *Atom) *Atom {
	o.Atoms = append(o.Atoms, a)
	o.bySection[a.Section] = append(o.bySection[a.Section], a)
	return a
}

func (o *Object) sortAtoms() {
	for _, list := range o.bySection {
		sort.SliceStable(list, func(i, j int) bool { return list[i].Start < list[j].Start })
	}
}

// span is the range that one or more symbols name.
type span struct {
	start, end uint64
	syms       []*elfw.Symbol
}

// spans turns symbols into ranges that do not overlap. A symbol inside
// another's range becomes a second name for a byte of it.
func spans(s *elfw.Section, syms []*elfw.Symbol) []span {
	syms = append([]*elfw.Symbol(nil), syms...)
	sort.SliceStable(syms, func(i, j int) bool {
		a, b := syms[i], syms[j]
		if a.Value != b.Value {
			return a.Value < b.Value
		}
		return a.Size > b.Size
	})
	n := s.Len()
	var list []span
	for _, sym := range syms {
		if sym.Value > n {
			continue
		}
		end := n
		if sym.Size < n-sym.Value {
			end = sym.Value + sym.Size
		}
		if k := len(list) - 1; k >= 0 && (sym.Value < list[k].end || sym.Value == list[k].start) {
			list[k].syms = append(list[k].syms, sym)
			continue
		}
		list = append(list, span{sym.Value, end, []*elfw.Symbol{sym}})
	}
	// A label without a size (assembly in C) reaches to the next one.
	for i := range list {
		sp := &list[i]
		if sp.end > sp.start || sp.syms[0].Type != elfw.SttNotype {
			continue
		}
		sp.end = n
		if i+1 < len(list) {
			sp.end = list[i+1].start
		}
	}
	return list
}

// name records which symbols name an atom.
func (o *Object) name(a *Atom, syms []*elfw.Symbol) {
	at := a.Start + a.Entry
	for _, s := range syms {
		o.bySymbol[s] = place{a, int64(s.Value - at)}
		if s.Value == at {
			a.Symbols = append(a.Symbols, s)
		}
	}
	// Prefer a name with a type and size; the order of the table decides then.
	sort.SliceStable(a.Symbols, func(i, j int) bool {
		rank := func(s *elfw.Symbol) bool { return s.Type != elfw.SttNotype && s.Size > 0 }
		return rank(a.Symbols[i]) && !rank(a.Symbols[j])
	})
	a.Name = a.Symbols[0].Name
}

func (o *Object) functions(s *elfw.Section, syms []*elfw.Symbol) {
	list := spans(s, syms)
	if len(list) == 1 {
		// With a section to itself a function takes all of it: what lies
		// before the symbol is its patch site, what lies after are the
		// replacements of its alternatives.
		sp := list[0]
		a := o.add(&Atom{Kind: Func, Section: s, End: s.Len(), Entry: sp.start, Alone: true})
		o.name(a, sp.syms)
		return
	}
	for _, sp := range list {
		a := o.add(&Atom{Kind: Func, Section: s, Start: sp.start, End: sp.end})
		o.name(a, sp.syms)
	}
}

func (o *Object) data(s *elfw.Section, syms []*elfw.Symbol) {
	list := spans(s, syms)
	if len(list) == 0 {
		if s.Len() > 0 {
			o.add(&Atom{Kind: Anon, Section: s, End: s.Len(), Alone: true})
		}
		return
	}
	relocs := relocOffsets(o.File, s)
	at := uint64(0)
	for _, sp := range append(list, span{start: s.Len(), end: s.Len()}) {
		if at < sp.start && (relocs(at, sp.start) || s.Type != elfw.ShtNobits && !zero(s.Data[at:sp.start])) {
			o.add(&Atom{Kind: Anon, Section: s, Start: at, End: sp.start})
		}
		if len(sp.syms) > 0 {
			a := o.add(&Atom{Kind: Data, Section: s, Start: sp.start, End: sp.end, Alone: len(list) == 1})
			o.name(a, sp.syms)
		}
		at = max(at, sp.end)
	}
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// relocOffsets returns a function that tells whether a range of a section has
// relocations.
func relocOffsets(f *elfw.File, s *elfw.Section) func(from, to uint64) bool {
	var offs []uint64
	for _, rs := range f.RelocsOf(s) {
		for _, r := range rs.Relocs {
			offs = append(offs, r.Off)
		}
	}
	sort.Slice(offs, func(i, j int) bool { return offs[i] < offs[j] })
	return func(from, to uint64) bool {
		i := sort.Search(len(offs), func(i int) bool { return offs[i] >= from })
		return i < len(offs) && offs[i] < to
	}
}

// leftovers makes atoms of code that no symbol names, unless it is padding.
func (o *Object) leftovers(s *elfw.Section) {
	if s.Type == elfw.ShtNobits {
		return
	}
	relocs := relocOffsets(o.File, s)
	at := uint64(0)
	for _, a := range append(append([]*Atom(nil), o.bySection[s]...), &Atom{Start: s.Len(), End: s.Len()}) {
		if at < a.Start && (!o.Arch.Nop(s.Data[at:a.Start]) || relocs(at, a.Start)) {
			o.add(&Atom{Kind: Anon, Section: s, Start: at, End: a.Start})
		}
		at = max(at, a.End)
	}
}

// parents ties the parts of a function that the compiler split off (f.cold) to
// the function.
func (o *Object) parents() {
	byName := map[string]*Atom{}
	for _, a := range o.Atoms {
		if a.Kind == Func {
			for _, s := range a.Symbols {
				byName[s.Name] = a
			}
		}
	}
	for _, a := range o.Atoms {
		if a.Kind != Func {
			continue
		}
		if i := strings.LastIndex(a.Name, ".cold"); i > 0 && strings.Trim(a.Name[i+5:], ".0123456789") == "" {
			if p := byName[a.Name[:i]]; p != nil && p != a {
				a.Parent = p
			}
		}
	}
}
