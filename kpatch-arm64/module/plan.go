package module

import (
	"errors"
	"fmt"
	"strings"

	"cloudkernel/kpatch-arm64/diff"
	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/image"
	"cloudkernel/kpatch-arm64/object"
)

// Part is one changed object of the kernel.
type Part struct {
	// Name is the object's path below the build directory, for messages.
	Name string
	Diff *diff.Result
	// Image is what the object is linked into: vmlinux or a module.
	Image *image.Image
	// Place says where.
	Place *image.Placement
}

// Target is the kernel that a module is made for.
type Target struct {
	Vmlinux *image.Image
	// Exports holds what vmlinux exports without a namespace.
	Exports map[string]bool
	// Modules returns the module that exports a symbol, or nil.
	Modules func(symbol string) *image.Image
}

// Plan is everything that goes into a module, decided.
type Plan struct {
	Target Target
	Parts  []*Part
	// Replace asks the kernel to drop all earlier livepatches.
	Replace bool

	// Refusals are what cannot be done, found while resolving symbols.
	Refusals []diff.Refusal

	fresh map[string]bool // global symbols that the patch adds
	funcs []*function
}

// function is one replacement, numbered through the whole module.
type function struct {
	part *Part
	diff.Func
	old image.Symbol
}

// NewPlan resolves everything that the parts refer to. The result's Refusals
// must be empty before it is used further.
func NewPlan(t Target, parts []*Part, replace bool) *Plan {
	p := &Plan{Target: t, Parts: parts, Replace: replace, fresh: map[string]bool{}}
	for _, part := range parts {
		for _, a := range part.Diff.Include {
			if part.Diff.Original(a) == nil && a.Name != "" && !a.Local() {
				p.fresh[a.Name] = true
			}
		}
	}
	for _, part := range parts {
		p.replacements(part)
		for _, a := range part.Diff.Include {
			p.check(part, a)
		}
	}
	p.checkCallbacks()
	return p
}

func (p *Plan) refuse(part *Part, rule, name, what, remedy string) {
	for _, r := range p.Refusals {
		if r.Rule == rule && r.Name == name && r.What == what {
			return
		}
	}
	p.Refusals = append(p.Refusals, diff.Refusal{Rule: rule, Name: name, What: what, Remedy: remedy, File: part.Name})
}

// replacements finds the originals of a part's changed functions.
func (p *Plan) replacements(part *Part) {
	for _, f := range part.Diff.Changed {
		sym, err := part.Place.Symbol(f.Old)
		switch {
		case errors.Is(err, image.ErrOverridden):
			p.refuse(part, "weak", f.Old, "it is weak, and the kernel has another object's definition, so that it never runs", "change the other definition, or leave it out of the patch")
		case err != nil:
			p.refuse(part, "symbol", f.Old, err.Error(), "build the kernel again, so that objects and image belong together")
		case sym.Init:
			p.refuse(part, "init", f.Old, "it is __init code, which has run and is gone", "reboot into a kernel that has the change")
		default:
			p.funcs = append(p.funcs, &function{part, f, sym})
		}
	}
}

// check resolves all references of an included atom, to find what cannot be
// resolved before anything is written.
func (p *Plan) check(part *Part, a *object.Atom) {
	name := a.Name
	if name == "" {
		name = a.Section.Name
	}
	resolve := func(r object.Ref, inside bool) *where {
		if part.local(a, r, inside) {
			return nil
		}
		w, err := p.resolve(part, r.Target)
		if err != nil {
			p.refuse(part, "symbol", name, err.Error(), "use something that the running kernel has")
			return nil
		}
		if w.init {
			p.refuse(part, "init", name, "it uses "+w.name+", which is __init and gone after boot", "reboot into a kernel that has the change")
		}
		return w
	}
	for _, r := range a.Refs {
		resolve(r, false)
	}
	for _, e := range a.Entries {
		for _, r := range e.Refs {
			w := resolve(r, true)
			if w != nil && e.Table.Key >= 0 && r.Off == e.Table.Key && w.object != "" && w.object != image.Vmlinux {
				p.refuse(part, "static-key", name, fmt.Sprintf("it branches on the static key %s of module %s, which cannot be bound before that module is loaded", w.name, w.object),
					"in the patch, test the key with static_key_enabled() instead of static_branch_likely() or static_branch_unlikely()")
			}
		}
	}
}

func (p *Plan) checkCallbacks() {
	seen := map[string]string{}
	for _, part := range p.Parts {
		for kind, a := range part.Diff.Hooks.Callbacks {
			key := part.Image.Name + " " + kind
			if old := seen[key]; old != "" {
				p.refuse(part, "callback", a.Name, fmt.Sprintf("%s already has a %s callback, in %s", part.Image.Name, kind, old), "one an object is what the kernel takes: do both things in one function")
			}
			seen[key] = part.Name
		}
	}
}

// where says how a reference out of the module is made.
type where struct {
	name   string
	object string // where livepatch looks it up; "" for an ordinary symbol
	pos    int
	weak   bool
	init   bool
}

// local reports whether a reference of an included atom stays inside the
// module. inside is set for references from table entries about the atom: they
// mean its own code even at offset 0.
func (part *Part) local(a *object.Atom, r object.Ref, inside bool) bool {
	t := r.Target.Atom
	if t == nil || !part.Diff.Included(t) {
		return false
	}
	if t.Kind != object.Func || part.Diff.Original(t) == nil {
		return true // new, or a copy
	}
	if t.Root() == a.Root() {
		// A function's own inside, or its split-off parts. Its address as such,
		// to call itself or to hand out, is the original's.
		return inside || r.Target.Off != 0 || t.Root() != t
	}
	return false
}

// resolve decides how to refer to something outside the module.
func (p *Plan) resolve(part *Part, t object.Target) (*where, error) {
	if t.Atom == nil {
		if t.Sym == nil {
			return nil, fmt.Errorf("a relocation without a symbol")
		}
		return p.external(part, t.Sym)
	}
	o := part.Diff.Original(t.Atom)
	if o == nil {
		return nil, fmt.Errorf("%s is neither in the kernel nor in the patch", t.Atom.Name)
	}
	if t.Atom.Kind == object.Func && t.Off != 0 {
		return nil, fmt.Errorf("a reference into the middle of %s", t.Atom.Name)
	}
	s, err := part.Place.Symbol(o.Name)
	if errors.Is(err, image.ErrOverridden) {
		// What the object's own code refers to is the other definition, too.
		g, ok := part.Image.Global(o.Name)
		if !ok {
			return nil, err
		}
		s, err = g, nil
	}
	if err != nil {
		return nil, err
	}
	if s.Object == image.Vmlinux && !o.Local() && p.Target.Exports[o.Name] {
		return &where{name: o.Name, init: s.Init}, nil
	}
	return fromSymbol(s), nil
}

func fromSymbol(s image.Symbol) *where {
	return &where{name: s.Name, object: s.Object, pos: s.Pos, init: s.Init}
}

// external resolves a symbol that the object itself does not define.
func (p *Plan) external(part *Part, s *elfw.Symbol) (*where, error) {
	if s.Shndx != elfw.ShnUndef {
		return nil, fmt.Errorf("%s is an absolute or common symbol", s.Name)
	}
	if p.fresh[s.Name] {
		return &where{name: s.Name}, nil
	}
	if part.Image.Name != image.Vmlinux {
		if g, ok := part.Image.Global(s.Name); ok {
			return fromSymbol(g), nil
		}
	}
	if g, ok := p.Target.Vmlinux.Global(s.Name); ok {
		if p.Target.Exports[s.Name] {
			return &where{name: s.Name, init: g.Init}, nil
		}
		return fromSymbol(g), nil
	}
	if part.Image.Name != image.Vmlinux && p.Target.Modules != nil {
		if m := p.Target.Modules(s.Name); m != nil {
			if g, ok := m.Global(s.Name); ok {
				return fromSymbol(g), nil
			}
		}
	}
	if s.Bind == elfw.StbWeak {
		return &where{name: s.Name, weak: true}, nil
	}
	return nil, fmt.Errorf("%s is not in the kernel: it was optimised away there, or configured out", s.Name)
}

// klpName is the name under which a livepatch symbol travels through the
// linker: the object whose relocations are applied together with it, then what
// the kernel wants to read.
func klpName(part *Part, w *where) string {
	owner := image.Vmlinux
	if w.object != image.Vmlinux {
		owner = part.Image.Name
	}
	return fmt.Sprintf("%s%s|.klp.sym.%s.%s,%d", klpPrefix, owner, w.object, w.name, w.pos)
}

const klpPrefix = "hotpatch-klp|"

// cutKlp takes a travelling name apart.
func cutKlp(name string) (owner, symbol string, ok bool) {
	rest, ok := strings.CutPrefix(name, klpPrefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "|")
}
