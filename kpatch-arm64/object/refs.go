package object

import (
	"sort"
	"strings"

	"cloudkernel/kpatch-arm64/elfw"
)

// at returns the atom that a position of a section belongs to: the one that
// holds it, else the nearest before it, else the first.
func (o *Object) at(sec *elfw.Section, pos int64) *Atom {
	list := o.bySection[sec]
	if len(list) == 0 {
		return nil
	}
	i := sort.Search(len(list), func(i int) bool { return int64(list[i].Start) > pos })
	if i == 0 {
		return list[0]
	}
	return list[i-1]
}

// resolve returns what a relocation means.
func (o *Object) resolve(r elfw.Reloc) Target {
	if r.Sym == nil {
		return Target{Off: r.Addend}
	}
	f, _ := o.Arch.Field(r.Type)
	if p, ok := o.bySymbol[r.Sym]; ok {
		return Target{Atom: p.atom, Sym: r.Sym, Off: p.off + r.Addend + f.Bias, Exact: true}
	}
	sec, pos, ok := o.position(r)
	if !ok {
		return Target{Sym: r.Sym, Off: r.Addend + f.Bias, Exact: true}
	}
	a := o.at(sec, pos)
	if a == nil {
		return Target{Sym: r.Sym, Off: r.Addend + f.Bias}
	}
	if a.Kind == Pool && r.Sym.Type != elfw.SttSection {
		start := int64(r.Sym.Value)
		return Target{Atom: a, Sym: r.Sym, Off: start, Delta: pos - start, Exact: true}
	}
	return Target{Atom: a, Sym: r.Sym, Off: pos - int64(a.Start+a.Entry), Exact: a.Alone}
}

// references gives every atom its references.
func (o *Object) references() {
	for sec, atoms := range o.bySection {
		relocs := sortedRelocs(o.File, sec)
		taken := make(map[uint64]bool, len(relocs))
		i := 0
		for _, a := range atoms {
			for i < len(relocs) && relocs[i].Off < a.Start {
				i++
			}
			base := int64(a.Start + a.Entry)
			for ; i < len(relocs) && relocs[i].Off < a.End; i++ {
				r := relocs[i]
				taken[r.Off] = true
				a.Refs = append(a.Refs, Ref{Off: int64(r.Off) - base, Type: r.Type, Target: o.resolve(r)})
			}
		}
		if sec.Is(elfw.ShfExecinstr) && len(atoms) > 1 && sec.Type != elfw.ShtNobits {
			o.fixedRefs(sec, atoms, taken)
		}
	}
}

// fixedRefs finds the references between atoms of one section that the
// assembler resolved. taken holds the places that have relocations.
func (o *Object) fixedRefs(sec *elfw.Section, atoms []*Atom, taken map[uint64]bool) {
	literal := dataRanges(o.File, sec)
	for _, a := range atoms {
		base := int64(a.Start + a.Entry)
		n := len(a.Refs)
		for _, x := range o.Arch.Fixed(a.Bytes()) {
			pos := int64(a.Start) + x.Target
			if pos >= int64(a.Start) && pos < int64(a.End) || taken[a.Start+x.Off] || literal(a.Start+x.Off) {
				continue
			}
			t := Target{Off: pos}
			if to := o.at(sec, pos); to != nil {
				t = Target{Atom: to, Off: pos - int64(to.Start+to.Entry), Exact: true}
			}
			a.Refs = append(a.Refs, Ref{Off: int64(a.Start+x.Off) - base, Type: x.Type, Target: t, Fixed: true})
		}
		if len(a.Refs) > n {
			sort.SliceStable(a.Refs, func(i, j int) bool { return a.Refs[i].Off < a.Refs[j].Off })
		}
	}
}

// dataRanges returns a function that tells whether an offset of a code section
// holds data, going by the mapping symbols $x and $d.
func dataRanges(f *elfw.File, sec *elfw.Section) func(off uint64) bool {
	type mark struct {
		off  uint64
		data bool
	}
	var marks []mark
	for _, s := range f.Symbols {
		if s.Section == sec && len(s.Name) >= 2 && (strings.HasPrefix(s.Name, "$x") || strings.HasPrefix(s.Name, "$d")) {
			marks = append(marks, mark{s.Value, s.Name[1] == 'd'})
		}
	}
	sort.SliceStable(marks, func(i, j int) bool { return marks[i].off < marks[j].off })
	return func(off uint64) bool {
		i := sort.Search(len(marks), func(i int) bool { return marks[i].off > off })
		return i > 0 && marks[i-1].data
	}
}

// entryRefs gives every table entry its references, and functions their
// entries in a stable order.
func (o *Object) entryRefs() {
	relocs := map[*elfw.Section][]elfw.Reloc{}
	for _, e := range o.Entries {
		list, ok := relocs[e.Section]
		if !ok {
			list = sortedRelocs(o.File, e.Section)
			relocs[e.Section] = list
		}
		i := sort.Search(len(list), func(i int) bool { return list[i].Off >= e.Off })
		for ; i < len(list) && list[i].Off < e.Off+uint64(len(e.Data)); i++ {
			e.Refs = append(e.Refs, Ref{Off: int64(list[i].Off - e.Off), Type: list[i].Type, Target: o.resolve(list[i])})
		}
		// Its owner may have been widened to a patch site after e was read.
		if e.Owner != nil {
			if r, ok := relocAt(list, e.Off+e.Table.Owner); ok {
				if _, pos, ok := o.position(r); ok {
					e.At = pos - int64(e.Owner.Start+e.Owner.Entry)
				}
			}
		}
	}
	for _, a := range o.Atoms {
		sort.SliceStable(a.Entries, func(i, j int) bool {
			x, y := a.Entries[i], a.Entries[j]
			if x.Table.Name != y.Table.Name {
				return x.Table.Name < y.Table.Name
			}
			return x.At < y.At
		})
	}
}
