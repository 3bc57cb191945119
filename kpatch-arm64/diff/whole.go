package diff

import (
	"bytes"

	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/object"
)

// SameProgram reports whether two objects are the same in everything that is
// loaded: content, relocations and symbols of all allocated sections.
func SameProgram(a, b *object.Object) bool {
	x, y := loaded(a.File), loaded(b.File)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		s, t := x[i], y[i]
		if s.Name != t.Name || s.Type != t.Type || s.Flags != t.Flags || s.Len() != t.Len() || !bytes.Equal(s.Data, t.Data) {
			return false
		}
		if !sameRelocs(a.File.RelocsOf(s), b.File.RelocsOf(t)) {
			return false
		}
	}
	return true
}

func loaded(f *elfw.File) []*elfw.Section {
	var list []*elfw.Section
	for _, s := range f.Sections {
		if s.Is(elfw.ShfAlloc) {
			list = append(list, s)
		}
	}
	return list
}

func sameRelocs(x, y []*elfw.Section) bool {
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if len(x[i].Relocs) != len(y[i].Relocs) {
			return false
		}
		for k, r := range x[i].Relocs {
			q := y[i].Relocs[k]
			if r.Off != q.Off || r.Type != q.Type || r.Addend != q.Addend || symbolText(r.Sym) != symbolText(q.Sym) {
				return false
			}
		}
	}
	return true
}

// symbolText identifies a symbol within its object.
func symbolText(s *elfw.Symbol) string {
	switch {
	case s == nil:
		return ""
	case s.Type == elfw.SttSection && s.Section != nil:
		return "section " + s.Section.Name
	}
	return s.Name
}
