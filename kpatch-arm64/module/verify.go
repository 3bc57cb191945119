package module

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/image"
	"cloudkernel/kpatch-arm64/object"
)

// Verify reads a finished module back and compares every function in it with
// what the compiler emitted: instructions, what every relocation means, and
// every entry of the special tables. It shares nothing with Assemble but the
// decision where a symbol is (Plan.resolve); a mistake in laying out, linking
// or rewriting is found here rather than in a running kernel.
func (p *Plan) Verify(ko []byte) error {
	f, err := elfw.Read(ko)
	if err != nil {
		return fmt.Errorf("verify the module: %w", err)
	}
	for _, part := range p.Parts {
		o, err := object.Split(f, part.Diff.Patched.Arch)
		if err != nil {
			return fmt.Errorf("verify the module: %w", err)
		}
		v := &verifier{plan: p, part: part, ko: o, late: lateRelocs(f)}
		for _, a := range part.Diff.Include {
			if a.Kind == object.Func {
				if err := v.function(a); err != nil {
					return fmt.Errorf("verify the module: %s of %s: %w (this is a mistake of hotpatch; nothing was written)", a.Name, part.Name, err)
				}
			}
		}
	}
	return nil
}

type verifier struct {
	plan *Plan
	part *Part
	ko   *object.Object
	late map[*elfw.Symbol]string
}

// lateRelocs returns, for every livepatch symbol, the object whose relocation
// section uses it.
func lateRelocs(f *elfw.File) map[*elfw.Symbol]string {
	m := map[*elfw.Symbol]string{}
	for _, s := range f.Sections {
		rest, ok := strings.CutPrefix(s.Name, ".klp.rela.")
		if !ok || s.Type != elfw.ShtRela {
			continue
		}
		owner, _, _ := strings.Cut(rest, ".")
		for _, r := range s.Relocs {
			m[r.Sym] = owner
		}
	}
	return m
}

// function looks for a function of the module that is what a should be.
func (v *verifier) function(a *object.Atom) error {
	err := fmt.Errorf("it is not in the module")
	for _, k := range v.ko.Atoms {
		if k.Kind != object.Func || !named(k, a.Name) {
			continue
		}
		if err = v.same(a, k); err == nil {
			return nil
		}
	}
	return err
}

func named(a *object.Atom, name string) bool {
	for _, s := range a.Symbols {
		if s.Name == name {
			return true
		}
	}
	return false
}

// body returns how much of a function is its own code, counted from its
// symbol: what follows in its section are replacements of alternatives.
func body(a *object.Atom) int64 {
	n := int64(a.Size() - a.Entry)
	for _, s := range a.Symbols {
		if s.Name == a.Name && s.Size > 0 {
			n = min(n, int64(s.Size))
		}
	}
	return n
}

func (v *verifier) same(a, k *object.Atom) error {
	n := body(a)
	if body(k) != n || a.Entry > k.Entry && v.site(a) {
		return fmt.Errorf("it has %d bytes instead of %d", body(k), n)
	}
	from := -int64(min(a.Entry, k.Entry))
	if err := v.code(a, k, from, n, 0); err != nil {
		return err
	}
	return v.entries(a, k)
}

func (v *verifier) site(a *object.Atom) bool { _, ok := a.Site(); return ok }

// code compares n bytes of two atoms from offset from on; shift is added to
// offsets in k.
func (v *verifier) code(a, k *object.Atom, from, n, shift int64) error {
	ab := a.Bytes()[from+int64(a.Entry) : n+int64(a.Entry)]
	lo, hi := from+shift+int64(k.Entry), n+shift+int64(k.Entry)
	if lo < 0 || hi > int64(k.Size()) {
		return fmt.Errorf("it is cut short")
	}
	ar, kr := a.RefsIn(from, int(n-from)), k.RefsIn(from+shift, int(n-from))
	if a.Alone {
		// Its section was taken whole, so branches between the function and
		// its replacements, which have no relocations, must not have changed.
		kr = slices.DeleteFunc(slices.Clone(kr), func(r object.Ref) bool { return r.Fixed })
	}
	if !bytes.Equal(v.masked(ab, ar, from), v.masked(k.Bytes()[lo:hi], kr, from+shift)) {
		return fmt.Errorf("its instructions differ")
	}
	if len(ar) != len(kr) {
		return fmt.Errorf("it has %d references instead of %d", len(kr), len(ar))
	}
	for i := range ar {
		if ar[i].Off != kr[i].Off-shift || ar[i].Type != kr[i].Type {
			return fmt.Errorf("reference %d is at %+#x instead of %+#x", i, kr[i].Off, ar[i].Off)
		}
		if err := v.target(a, k, ar[i], kr[i], false); err != nil {
			return fmt.Errorf("at %+#x: %w", ar[i].Off, err)
		}
	}
	return nil
}

func (v *verifier) masked(b []byte, refs []object.Ref, base int64) []byte {
	b = bytes.Clone(b)
	for _, r := range refs {
		f, _ := v.ko.Arch.Field(r.Type)
		for i := 0; i < f.Size; i++ {
			if at := r.Off - base + int64(i); at >= 0 && at < int64(len(b)) {
				b[at] &^= byte(f.Mask >> (8 * i))
			}
		}
	}
	return b
}

// target compares what two references mean: w, what the compiler's means in
// the running kernel, and k, what the module's says.
func (v *verifier) target(a, k *object.Atom, want, got object.Ref, inside bool) error {
	t, g := want.Target, got.Target
	if t.Atom != nil && t.Atom.Kind == object.Pool {
		data, start := t.Atom.Value(t.Off)
		at := g.Off - (t.Off - int64(start)) - t.Delta
		if g.Atom == nil || data == nil || at+int64(g.Atom.Entry) < 0 || at+int64(g.Atom.Entry)+int64(len(data)) > int64(g.Atom.Size()) {
			return fmt.Errorf("a constant is not there")
		}
		have := g.Atom.Bytes()[at+int64(g.Atom.Entry):][:len(data)]
		if !bytes.Equal(v.masked(data, t.Atom.RefsIn(int64(start), len(data)), int64(start)), v.masked(have, g.Atom.RefsIn(at, len(data)), at)) {
			return fmt.Errorf("a constant is %q instead of %q", have, data)
		}
		return nil
	}
	if v.part.local(a, want, inside) {
		switch {
		case g.Atom == nil:
			return fmt.Errorf("it refers to %s instead of the module's own %s", symText(g.Sym), t.Atom.Name)
		case t.Atom == a && t.Off >= body(a) && a.Kind == object.Func:
			return nil // a replacement, compared with its entry
		case t.Atom.Kind == object.Repl:
			return nil
		case t.Atom.Name != "" && (!named(g.Atom, t.Atom.Name) || t.Off != g.Off):
			return fmt.Errorf("it refers to %s%+d instead of %s%+d", g.Atom.Name, g.Off, t.Atom.Name, t.Off)
		case t.Atom.Name == "":
			return v.unnamed(t, g)
		}
		return nil
	}
	w, err := v.plan.resolve(v.part, t)
	if err != nil {
		return err
	}
	wantName, wantOwner := w.name, ""
	if w.object != "" {
		wantName = fmt.Sprintf(".klp.sym.%s.%s,%d", w.object, w.name, w.pos)
		wantOwner = image.Vmlinux
		if w.object != image.Vmlinux {
			wantOwner = v.part.Image.Name
		}
	}
	if w.object == "" && v.plan.fresh[w.name] && g.Atom != nil && named(g.Atom, w.name) && g.Off == t.Off {
		return nil // another part of the same patch defines it
	}
	if g.Atom != nil || g.Sym == nil || g.Sym.Name != wantName || g.Off != t.Off || v.late[g.Sym] != wantOwner {
		return fmt.Errorf("it refers to %s%+d instead of %s%+d", symText(g.Sym), g.Off, wantName, t.Off)
	}
	if wantOwner != "" && g.Sym.Shndx != elfw.ShnLivepatch || wantOwner == "" && !g.Sym.Undefined() {
		return fmt.Errorf("symbol %s is of the wrong kind", wantName)
	}
	return nil
}

// unnamed compares a value without a name with where the module's reference
// leads.
func (v *verifier) unnamed(t, g object.Target) error {
	want := t.Atom
	at := g.Off - t.Off
	if at+int64(g.Atom.Entry) < 0 || at+int64(g.Atom.Entry)+int64(want.Size()) > int64(g.Atom.Size()) {
		return fmt.Errorf("unnamed data of %s are cut short", want.Section.Name)
	}
	if want.Section.Type == elfw.ShtNobits || g.Atom.Section.Type == elfw.ShtNobits {
		return nil
	}
	have := g.Atom.Bytes()[at+int64(g.Atom.Entry):][:want.Size()]
	if !bytes.Equal(v.masked(want.Bytes(), want.Refs, 0), v.masked(have, g.Atom.RefsIn(at, len(have)), at)) {
		return fmt.Errorf("unnamed data of %s differ", want.Section.Name)
	}
	return nil
}

func symText(s *elfw.Symbol) string {
	switch {
	case s == nil:
		return "nothing"
	case s.Name == "" && s.Section != nil:
		return s.Section.Name
	}
	return s.Name
}

// entries compares the special table entries about a function.
func (v *verifier) entries(a, k *object.Atom) error {
	ae, ke := sorted(a.Entries), sorted(k.Entries)
	if len(ae) != len(ke) {
		return fmt.Errorf("%d entries of special tables are about it instead of %d", len(ke), len(ae))
	}
	for i := range ae {
		x, y := ae[i], ke[i]
		if x.Table != y.Table || x.At != y.At || !bytes.Equal(v.masked(x.Data, x.Refs, 0), v.masked(y.Data, y.Refs, 0)) || len(x.Refs) != len(y.Refs) {
			return fmt.Errorf("the entry of %s at %+#x differs", x.Table.Name, x.At)
		}
		for j := range x.Refs {
			if x.Refs[j].Off != y.Refs[j].Off || x.Refs[j].Type != y.Refs[j].Type {
				return fmt.Errorf("the entry of %s at %+#x has other references", x.Table.Name, x.At)
			}
			if err := v.target(a, k, x.Refs[j], y.Refs[j], true); err != nil {
				return fmt.Errorf("the entry of %s at %+#x: %w", x.Table.Name, x.At, err)
			}
		}
		if err := v.replacement(a, x, y); err != nil {
			return fmt.Errorf("the replacement of %s at %+#x: %w", x.Table.Name, x.At, err)
		}
	}
	return nil
}

func sorted(list []*object.Entry) []*object.Entry {
	list = append([]*object.Entry(nil), list...)
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.Table.Name != b.Table.Name {
			return a.Table.Name < b.Table.Name
		}
		return a.At < b.At
	})
	return list
}

// replacement compares the code that an alternative brings along.
func (v *verifier) replacement(a *object.Atom, x, y *object.Entry) error {
	r := x.Table.Replacement
	if r == nil {
		return nil
	}
	n := int64(x.Data[r.Len])
	find := func(e *object.Entry) (object.Target, bool) {
		for _, ref := range e.Refs {
			if ref.Off == int64(r.Off) {
				return ref.Target, true
			}
		}
		return object.Target{}, false
	}
	t, ok1 := find(x)
	g, ok2 := find(y)
	if n == 0 || !ok1 || !ok2 || t.Atom == nil || g.Atom == nil {
		return nil // a callback: compared as a reference
	}
	if y.Repl != nil { // code between functions, which an atom stands for
		return v.code(t.Atom, y.Repl, t.Off, t.Off+n, -t.Off)
	}
	return v.code(t.Atom, g.Atom, t.Off, t.Off+n, g.Off-t.Off)
}
