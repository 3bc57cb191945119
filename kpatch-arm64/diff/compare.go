package diff

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/object"
)

// masked returns an atom's content with the bits that relocations fill set to
// zero.
func (c *comparison) masked(a *object.Atom) []byte {
	b := a.Bytes()
	if len(a.Refs) == 0 || b == nil {
		return b
	}
	b = append([]byte(nil), b...)
	for _, r := range a.Refs {
		c.mask(b, r.Off+int64(a.Entry), r.Type)
	}
	return b
}

// mask clears the bits of b at off that a relocation of a type fills.
func (c *comparison) mask(b []byte, off int64, typ uint32) {
	f, ok := c.arch.Field(typ)
	if !ok || off < 0 || off+int64(f.Size) > int64(len(b)) {
		return
	}
	switch p := b[off:]; f.Size {
	case 2:
		binary.LittleEndian.PutUint16(p, binary.LittleEndian.Uint16(p)&^uint16(f.Mask))
	case 4:
		binary.LittleEndian.PutUint32(p, binary.LittleEndian.Uint32(p)&^uint32(f.Mask))
	case 8:
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)&^f.Mask)
	}
}

// compareFunctions finds out which correlated functions differ, and how.
func (c *comparison) compareFunctions() {
	c.unlike = map[*object.Atom]*Reason{}
	paired := map[*object.Atom]bool{}
	for _, p := range c.Patched.Atoms {
		o := c.pairs.orig[p]
		if o == nil || p.Kind != object.Func {
			continue
		}
		paired[o] = true
		if r := c.differ(o, p); r != nil {
			c.unlike[p] = r
		}
	}
	for _, o := range c.Orig.Atoms {
		if o.Kind == object.Func && !paired[o] {
			c.Removed = append(c.Removed, o.Name)
		}
	}
	// A function is changed when a part of it is, or when it has a part that
	// is no longer there.
	for _, p := range c.Patched.Atoms {
		if root := p.Root(); p.Kind == object.Func && root != p && c.unlike[p] != nil && c.unlike[root] == nil && c.pairs.orig[root] != nil {
			r := *c.unlike[p]
			r.Why, r.By = WhyPart, p.Name
			c.unlike[root] = &r
		}
	}
}

// differ compares two functions, and returns the first difference or nil.
func (c *comparison) differ(o, p *object.Atom) *Reason {
	if r := c.differBody(o, p); r != nil {
		return c.located(o, p, r)
	}
	if r := c.differEntries(o, p); r != nil {
		return c.located(o, p, r)
	}
	return nil
}

// differBody compares instructions and references.
func (c *comparison) differBody(o, p *object.Atom) *Reason {
	ob, pb := c.masked(o), c.masked(p)
	n := 0
	for n < len(ob) && n < len(pb) && ob[n] == pb[n] {
		n++
	}
	first := &Reason{Why: WhyInstruction, Off: int64(n-n%c.arch.Unit()) - int64(p.Entry)}
	if n == len(ob) && n == len(pb) && o.Entry == p.Entry {
		first = nil
	} else if n == len(ob) || n == len(pb) {
		first.Why = WhySize
	}
	for i := 0; i < len(o.Refs) || i < len(p.Refs); i++ {
		var or, pr object.Ref
		switch {
		case i >= len(o.Refs):
			pr = p.Refs[i]
		case i >= len(p.Refs):
			pr = o.Refs[i]
		default:
			or, pr = o.Refs[i], p.Refs[i]
			if or.Off == pr.Off && or.Type == pr.Type && c.sameTarget(or.Target, pr.Target) {
				continue
			}
			pr.Off = min(or.Off, pr.Off)
		}
		if first == nil || pr.Off < first.Off {
			first = &Reason{Why: WhyReference, Off: pr.Off}
		}
		break
	}
	return first
}

// differEntries compares what the special tables say about two functions.
func (c *comparison) differEntries(o, p *object.Atom) *Reason {
	for i := 0; i < len(o.Entries) || i < len(p.Entries); i++ {
		switch {
		case i >= len(o.Entries):
			return &Reason{Why: WhyTable, Off: p.Entries[i].At, Before: "no entry", After: "an entry in " + p.Entries[i].Table.Name}
		case i >= len(p.Entries):
			return &Reason{Why: WhyTable, Off: o.Entries[i].At, Before: "an entry in " + o.Entries[i].Table.Name, After: "no entry"}
		}
		if oe, pe := o.Entries[i], p.Entries[i]; !c.sameEntry(oe, pe) {
			return &Reason{Why: WhyTable, Off: pe.At, Before: c.entryText(oe), After: c.entryText(pe)}
		}
	}
	return nil
}

func (c *comparison) sameEntry(o, p *object.Entry) bool {
	if o.Table != p.Table || o.At != p.At || len(o.Data) != len(p.Data) || len(o.Refs) != len(p.Refs) {
		return false
	}
	od, pd := bytes.Clone(o.Data), bytes.Clone(p.Data)
	for _, r := range o.Refs {
		c.mask(od, r.Off, r.Type)
	}
	for _, r := range p.Refs {
		c.mask(pd, r.Off, r.Type)
	}
	if !bytes.Equal(od, pd) {
		return false
	}
	if (o.Repl == nil) != (p.Repl == nil) || o.Repl != nil && c.differBody(o.Repl, p.Repl) != nil {
		return false
	}
	for i := range o.Refs {
		or, pr := o.Refs[i], p.Refs[i]
		if or.Off != pr.Off || or.Type != pr.Type {
			return false
		}
		if o.Repl != nil && or.Target.Atom == o.Repl && pr.Target.Atom == p.Repl {
			continue
		}
		if !c.sameTarget(or.Target, pr.Target) {
			return false
		}
	}
	return true
}

// sameTarget reports whether two references mean the same.
func (c *comparison) sameTarget(o, p object.Target) bool {
	if o.Atom == nil || p.Atom == nil {
		if o.Atom != p.Atom || o.Off != p.Off || (o.Sym == nil) != (p.Sym == nil) {
			return false
		}
		return o.Sym == nil || o.Sym.Name == p.Sym.Name && o.Sym.Shndx == p.Sym.Shndx
	}
	if isValue(o.Atom) && isValue(p.Atom) {
		return o.Delta == p.Delta && c.sameValue(target{o.Atom, o.Off}, target{p.Atom, p.Off})
	}
	if o.Atom.Kind == object.Repl && p.Atom.Kind == object.Repl {
		return c.pairs.orig[p.Atom.Root()] == o.Atom.Root() && o.Off == p.Off
	}
	return c.pairs.orig[p.Atom] == o.Atom && o.Off == p.Off
}

// maxDepth bounds how deep values may refer to each other. Nothing real comes
// near; beyond it values count as different.
const maxDepth = 10000

// sameValue compares values by content. A pair that is being compared counts
// as equal, so that values may refer to each other; what was concluded from
// that is forgotten when the pair turns out to differ.
func (c *comparison) sameValue(o, p target) bool {
	key := [2]target{o, p}
	if same, ok := c.values[key]; ok {
		return same
	}
	mark := len(c.trail)
	if mark > maxDepth {
		return false
	}
	c.values[key] = true
	c.trail = append(c.trail, key)
	if c.compareValue(o, p) {
		if mark == 0 {
			c.trail = c.trail[:0]
		}
		return true
	}
	for _, k := range c.trail[mark:] {
		delete(c.values, k)
	}
	c.trail = c.trail[:mark]
	c.values[key] = false
	return false
}

func (c *comparison) compareValue(o, p target) bool {
	if o.atom.Kind == object.Pool || p.atom.Kind == object.Pool {
		if o.atom.Kind != p.atom.Kind || o.atom.Section.EntSize != p.atom.Section.EntSize ||
			o.atom.Section.Flags != p.atom.Section.Flags {
			return false
		}
		ov, ooff := o.atom.Value(o.off)
		pv, poff := p.atom.Value(p.off)
		return ov != nil && pv != nil && o.off-int64(ooff) == p.off-int64(poff) && bytes.Equal(ov, pv) &&
			c.sameRefs(o.atom.RefsIn(int64(ooff), len(ov)), p.atom.RefsIn(int64(poff), len(pv)), int64(ooff), int64(poff))
	}
	return o.off == p.off && c.sameContent(o.atom, p.atom)
}

// sameContent compares two data atoms, bytes and references.
func (c *comparison) sameContent(o, p *object.Atom) bool {
	if o.Size() != p.Size() || o.Section.Flags != p.Section.Flags {
		return false
	}
	ob, pb := c.masked(o), c.masked(p)
	switch {
	case ob == nil && pb == nil:
	case ob == nil:
		return allZero(pb) && len(p.Refs) == 0
	case pb == nil:
		return allZero(ob) && len(o.Refs) == 0
	case !bytes.Equal(ob, pb):
		return false
	}
	return c.sameRefs(o.Refs, p.Refs, 0, 0)
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func (c *comparison) sameRefs(o, p []object.Ref, obase, pbase int64) bool {
	if len(o) != len(p) {
		return false
	}
	for i := range o {
		if o[i].Off-obase != p[i].Off-pbase || o[i].Type != p[i].Type || !c.sameTarget(o[i].Target, p[i].Target) {
			return false
		}
	}
	return true
}

// located completes a reason with the source line and what stands there.
func (c *comparison) located(o, p *object.Atom, r *Reason) *Reason {
	// Differences that only the patch site has lie before the function's code.
	at := r.Off + int64(p.Entry)
	if at >= 0 {
		r.File, r.Line = c.patchedInfo.Line(p.Section, p.Start+uint64(at))
		if r.Line == 0 {
			r.File, r.Line = c.origInfo.Line(o.Section, o.Start+uint64(at))
		}
	}
	if r.Before == "" && r.After == "" {
		r.Before, r.After = c.insnText(o, r.Off), c.insnText(p, r.Off)
	}
	return r
}

// insnText returns the instruction at an offset of a function with what it
// refers to.
func (c *comparison) insnText(a *object.Atom, off int64) string {
	at := off + int64(a.Entry)
	if at < 0 || at >= int64(len(a.Bytes())) {
		return "end of function"
	}
	text, size := c.arch.Disasm(a.Bytes()[at:], uint64(at))
	for _, r := range a.Refs {
		if r.Off >= off && r.Off < off+int64(size) {
			text += " → " + targetText(r.Target)
		}
	}
	return text
}

func (c *comparison) entryText(e *object.Entry) string {
	text := fmt.Sprintf("%s %x", e.Table.Name, e.Data)
	for _, r := range e.Refs {
		if r.Off != int64(e.Table.Owner) {
			text += " → " + targetText(r.Target)
		}
	}
	return text
}

func targetText(t object.Target) string {
	name := "?"
	switch {
	case t.Atom != nil && t.Atom.Kind == object.Pool && t.Atom.Section.Is(elfw.ShfStrings):
		if v, _ := t.Atom.Value(t.Off); v != nil {
			if len(v) > 60 {
				v = append(bytes.Clone(v[:57]), "...\x00"...)
			}
			return fmt.Sprintf("%q", bytes.TrimRight(v, "\x00"))
		}
		fallthrough
	case t.Atom != nil && t.Atom.Name == "":
		name = t.Atom.Section.Name
	case t.Atom != nil:
		name = t.Atom.Name
	case t.Sym != nil:
		name = t.Sym.Name
	}
	if n := t.Off + t.Delta; n != 0 {
		return fmt.Sprintf("%s%+d", name, n)
	}
	return name
}

// useOf returns what a reference does with its target.
func (c *comparison) useOf(r object.Ref) arch.Use {
	f, _ := c.arch.Field(r.Type)
	return f.Use
}
