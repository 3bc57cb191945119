package module

import (
	"fmt"
	"math/bits"
	"strings"

	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/object"
)

// alias returns the global name under which the C file refers to a replacement
// or callback; Finish removes it again.
func alias(kind string, n int) string { return fmt.Sprintf("hotpatch_%s_%d", kind, n) }

// assembler builds the object of one part.
type assembler struct {
	plan *Plan
	part *Part
	out  *elfw.File
	// at holds where included atoms went.
	at map[*object.Atom]*piece
	// values holds where values taken out of pools went.
	values map[value]*elfw.Symbol
	outer  map[string]*elfw.Symbol
	tables map[tableKey]*elfw.Section
	relas  map[*elfw.Section]*elfw.Section
}

// piece is an atom in the object being built: a section of its own.
type piece struct {
	sec *elfw.Section
	sym *elfw.Symbol // its value is where the atom's symbol is
}

// value is a string or constant of a pool.
type value struct {
	pool *object.Atom
	off  int64
}

// Assemble writes the object of part number n.
func (p *Plan) Assemble(n int) ([]byte, error) {
	part := p.Parts[n]
	a := &assembler{
		plan: p, part: part, out: elfw.New(part.Diff.Patched.File.Machine),
		at: map[*object.Atom]*piece{}, values: map[value]*elfw.Symbol{},
		outer: map[string]*elfw.Symbol{}, tables: map[tableKey]*elfw.Section{}, relas: map[*elfw.Section]*elfw.Section{},
	}
	list := append([]*object.Atom(nil), part.Diff.Include...)
	list = append(list, a.indexAtoms()...)
	for _, atom := range list {
		if atom.Kind != object.Pool {
			a.place(atom)
		}
	}
	for _, atom := range list {
		if atom.Kind == object.Pool {
			continue
		}
		at := a.at[atom]
		if err := a.relocate(atom, at.sec, int64(at.sym.Value), atom.Refs, false); err != nil {
			return nil, err
		}
		for _, e := range atom.Entries {
			if err := a.entry(atom, e); err != nil {
				return nil, err
			}
		}
	}
	a.aliases()
	a.notes()
	return a.out.Bytes()
}

// indexAtoms returns the printk index entries that come along, and what they
// point to.
func (a *assembler) indexAtoms() []*object.Atom {
	var list []*object.Atom
	for _, ptr := range a.part.Diff.Index {
		list = append(list, ptr)
		for _, r := range ptr.Refs {
			list = append(list, r.Target.Atom)
			for _, s := range r.Target.Atom.Refs {
				if t := s.Target.Atom; t != nil && t.Kind != object.Pool && !a.part.Diff.Included(t) {
					list = append(list, t)
				}
			}
		}
	}
	seen := map[*object.Atom]bool{}
	unique := list[:0]
	for _, t := range list {
		if t != nil && !seen[t] {
			seen[t] = true
			unique = append(unique, t)
		}
	}
	return unique
}

// place gives an atom a section and a symbol.
func (a *assembler) place(atom *object.Atom) {
	src := atom.Section
	sec := &elfw.Section{
		Name: sectionName(src), Type: src.Type, Align: alignment(src, atom.Start),
		Flags: src.Flags & (elfw.ShfWrite | elfw.ShfAlloc | elfw.ShfExecinstr),
	}
	if src.Type == elfw.ShtNobits {
		sec.Size = atom.Size()
	} else {
		sec.Data = atom.Bytes()
	}
	a.out.AddSection(sec)
	sym := &elfw.Symbol{Name: atom.Name, Section: sec, Value: atom.Entry, Bind: elfw.StbLocal}
	switch {
	case len(atom.Symbols) > 0:
		s := atom.Symbols[0]
		sym.Type, sym.Size = s.Type, s.Size
		if !atom.Local() && a.plan.fresh[atom.Name] {
			sym.Bind = elfw.StbGlobal
		}
	default:
		sym.Type = elfw.SttSection
		sym.Value = 0
	}
	a.out.AddSymbol(sym)
	a.at[atom] = &piece{sec, sym}
}

// alignment returns what an atom at an offset of a section can count on.
func alignment(s *elfw.Section, off uint64) uint64 {
	if off == 0 {
		return max(s.Align, 1)
	}
	return min(max(s.Align, 1), 1<<bits.TrailingZeros64(off))
}

// ownSections are sections whose name means something to the module loader or
// to code; -fdata-sections does not split them.
var ownSections = []string{
	".data..percpu", ".data..read_mostly", ".data..ro_after_init", ".data..once", ".data..page_aligned",
	".data..cacheline_aligned", ".data..shared_aligned", ".bss..page_aligned",
}

// sectionName returns the name of the section that an atom goes to: that of a
// module compiled without -ffunction-sections and -fdata-sections.
func sectionName(s *elfw.Section) string {
	switch {
	case s.Is(elfw.ShfExecinstr):
		return ".text"
	case strings.HasPrefix(s.Name, ".data"), strings.HasPrefix(s.Name, ".bss"), strings.HasPrefix(s.Name, ".rodata"), strings.HasPrefix(s.Name, ".ref.data"):
		for _, own := range ownSections {
			if s.Name == own || strings.HasPrefix(s.Name, own+"..") {
				return s.Name
			}
		}
		switch {
		case !s.Is(elfw.ShfWrite):
			return ".rodata"
		case s.Type == elfw.ShtNobits:
			return ".bss"
		}
		return ".data"
	}
	return s.Name
}

// relocate emits the references of an atom, or of a table entry about it, as
// relocations of sec. base is where offset 0 of the references lies in sec.
func (a *assembler) relocate(atom *object.Atom, sec *elfw.Section, base int64, refs []object.Ref, inside bool) error {
	if len(refs) == 0 {
		return nil
	}
	rela := a.rela(sec)
	for _, r := range refs {
		sym, off, err := a.target(atom, r, inside)
		if err != nil {
			return fmt.Errorf("%s: %w", atom.Name, err)
		}
		f, _ := a.part.Diff.Patched.Arch.Field(r.Type)
		rela.Relocs = append(rela.Relocs, elfw.Reloc{Off: uint64(base + r.Off), Type: r.Type, Sym: sym, Addend: off - f.Bias})
	}
	return nil
}

// rela returns the relocation section of a section.
func (a *assembler) rela(sec *elfw.Section) *elfw.Section {
	r := a.relas[sec]
	if r == nil {
		r = a.out.AddSection(&elfw.Section{
			Name: ".rela" + sec.Name, Type: elfw.ShtRela, Flags: elfw.ShfInfoLink, Align: 8, EntSize: elfw.RelaSize, Target: sec,
		})
		a.relas[sec] = r
	}
	return r
}

// target returns the symbol that a reference is to name, and the offset from
// it.
func (a *assembler) target(atom *object.Atom, r object.Ref, inside bool) (*elfw.Symbol, int64, error) {
	t := r.Target
	if t.Atom != nil && t.Atom.Kind == object.Pool {
		s, err := a.value(t)
		return s, t.Delta, err
	}
	if t.Atom != nil && (a.part.local(atom, r, inside) || a.at[t.Atom] != nil && t.Atom.Kind != object.Func) {
		at := a.at[t.Atom]
		if at == nil {
			return nil, 0, fmt.Errorf("%s was not taken along", t.Atom.Name)
		}
		return at.sym, t.Off, nil
	}
	w, err := a.plan.resolve(a.part, t)
	if err != nil {
		return nil, 0, err
	}
	return a.outside(w), t.Off, nil
}

// outside returns the symbol for something that is not in this object.
func (a *assembler) outside(w *where) *elfw.Symbol {
	s := &elfw.Symbol{Name: w.name, Bind: elfw.StbGlobal}
	if w.weak {
		s.Bind = elfw.StbWeak
	}
	if w.object != "" {
		s = &elfw.Symbol{Name: klpName(a.part, w), Bind: elfw.StbLocal, Shndx: elfw.ShnAbs}
	}
	if old := a.outer[s.Name]; old != nil {
		return old
	}
	a.outer[s.Name] = s
	return a.out.AddSymbol(s)
}

// value copies a string or constant out of its pool.
func (a *assembler) value(t object.Target) (*elfw.Symbol, error) {
	key := value{t.Atom, t.Off}
	if s := a.values[key]; s != nil {
		return s, nil
	}
	src := t.Atom.Section
	data, start := t.Atom.Value(t.Off)
	if data == nil {
		return nil, fmt.Errorf("there is no constant at %s%+d", src.Name, t.Off)
	}
	sec := a.out.AddSection(&elfw.Section{
		Name: ".rodata", Type: elfw.ShtProgbits, Flags: elfw.ShfAlloc, Align: alignment(src, start), Data: data,
	})
	s := a.out.AddSymbol(&elfw.Symbol{Section: sec, Type: elfw.SttSection, Value: 0})
	if d := uint64(t.Off) - start; d > 0 {
		s = a.out.AddSymbol(&elfw.Symbol{Name: fmt.Sprintf(".Lvalue%d", len(a.values)), Section: sec, Value: d})
	}
	a.values[key] = s
	return s, a.relocate(t.Atom, sec, -int64(start), t.Atom.RefsIn(int64(start), len(data)), false)
}

// tableKey is a table, or the part of one that is about a section: the linker
// takes SHF_LINK_ORDER of all inputs or of none, and the objects that kbuild
// compiles have it.
type tableKey struct {
	name  string
	about *elfw.Section
}

// entry copies a table entry about an atom.
func (a *assembler) entry(atom *object.Atom, e *object.Entry) error {
	key := tableKey{name: e.Table.Name}
	if e.Section.Is(elfw.ShfLinkOrder) {
		key.about = a.at[atom].sec
	}
	sec := a.tables[key]
	if sec == nil {
		sec = a.out.AddSection(&elfw.Section{
			Name: e.Table.Name, Type: elfw.ShtProgbits, Align: max(e.Section.Align, 1),
			Flags: e.Section.Flags & (elfw.ShfWrite | elfw.ShfAlloc | elfw.ShfLinkOrder), Link: key.about,
		})
		a.tables[key] = sec
	}
	base := int64(len(sec.Data))
	sec.Data = append(sec.Data, e.Data...)
	return a.relocate(atom, sec, base, e.Refs, true)
}

// aliases gives replacements and callbacks the names the C file knows.
func (a *assembler) aliases() {
	add := func(name string, atom *object.Atom) {
		at := a.at[atom]
		a.out.AddSymbol(&elfw.Symbol{Name: name, Bind: elfw.StbGlobal, Type: elfw.SttFunc, Section: at.sec, Value: at.sym.Value, Size: at.sym.Size})
	}
	for i, f := range a.plan.funcs {
		if f.part == a.part {
			add(alias("new", i), f.Patched)
		}
	}
	for _, c := range a.plan.callbacks() {
		if c.part == a.part {
			add(c.alias, c.atom)
		}
	}
}

// notes keeps what the object says about branch protection, which the linker
// wants to hear from every input.
func (a *assembler) notes() {
	if s := a.part.Diff.Patched.File.Section(".note.gnu.property"); s != nil {
		a.out.AddSection(&elfw.Section{Name: s.Name, Type: s.Type, Flags: s.Flags, Align: s.Align, EntSize: s.EntSize, Data: s.Data})
	}
	a.out.AddSection(&elfw.Section{Name: ".note.GNU-stack", Type: elfw.ShtProgbits, Align: 1})
}
