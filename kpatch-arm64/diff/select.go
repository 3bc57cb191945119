package diff

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/object"
)

// selectAtoms decides what comes along: the changed functions, what the patch
// asked for or other objects want, and everything those need that the running
// kernel does not have.
func (c *comparison) selectAtoms(wanted []string) {
	c.include = map[*object.Atom]*Reason{}
	var work []*object.Atom
	take := func(a *object.Atom, r *Reason) {
		if c.include[a] == nil {
			c.include[a] = r
			work = append(work, a)
		}
	}
	for _, p := range c.Patched.Atoms {
		r := c.unlike[p]
		if r == nil || p.Root() != p && c.unlike[p.Root()] != nil {
			continue
		}
		if c.Hooks.Skip[p] {
			c.Notes = append(c.Notes, fmt.Sprintf("%s changes, and is left as it is because the patch says HOTPATCH_SKIP", p.Name))
			continue
		}
		if c.replaceable(p, r) {
			take(p, r)
		}
	}
	for _, k := range c.Hooks.kinds() {
		take(c.Hooks.Callbacks[k], &Reason{Why: WhyForced, By: k + " callback"})
	}
	for _, p := range c.Patched.Atoms {
		if c.offered(p) && slices.Contains(wanted, p.Name) {
			take(p, &Reason{Why: WhyNeeded, By: "another object"})
		}
	}
	for len(work) > 0 {
		a := work[len(work)-1]
		work = work[:len(work)-1]
		for _, t := range c.needs(a) {
			take(t, &Reason{Why: WhyNeeded, By: displayName(a)})
		}
	}
	c.takeIndex()
	c.list()
}

// replaceable reports whether a changed function can be redirected, and
// refuses it otherwise.
func (c *comparison) replaceable(p *object.Atom, r *Reason) bool {
	o := c.pairs.orig[p]
	sec := o.Section.Name
	switch {
	case sectionIs(sec, ".init", ".head"):
		c.refuseAt("init", o.Name, r, "it is __init code, which has run and is gone",
			"if what it did at boot need not be done again, say HOTPATCH_SKIP("+function(o.Name)+") in the patch; else do it from a callback, or reboot")
		return false
	case sectionIs(sec, ".exit"):
		c.refuseAt("init", o.Name, r, "it is __exit code, which a module runs once when it goes, and the kernel never",
			"say HOTPATCH_SKIP("+function(o.Name)+") in the patch if it does not matter; else reload the module instead")
		return false
	case sectionIs(sec, ".hyp", ".idmap", ".hibernate_exit", ".mmuoff"):
		c.refuseAt("early", o.Name, r, "it is in "+sec+", which runs where the kernel's redirection does not work", "reboot into a kernel that has the change")
		return false
	}
	if _, ok := o.Root().Site(); !ok {
		c.refuseAt("notrace", o.Name, r, "it has no patch site (it is notrace, in a section like .noinstr.text, or in a file compiled without tracing, as lib/ is), so its callers cannot be redirected",
			"change its callers instead: give them a new function to call")
		return false
	}
	return true
}

// needs returns what must come along with an included atom, and refuses what
// it uses that cannot be had.
func (c *comparison) needs(a *object.Atom) []*object.Atom {
	var list []*object.Atom
	for _, r := range a.Refs {
		if t := c.need(a, r, false); t != nil {
			list = append(list, t)
		}
	}
	for _, e := range a.Entries {
		for _, r := range e.Refs {
			if t := c.need(a, r, true); t != nil {
				list = append(list, t)
			}
		}
		if e.Repl != nil {
			list = append(list, e.Repl)
		}
	}
	return list
}

// need judges one reference of an included atom, from its code or from a table
// entry about it, and returns the atom that must come along for it, or nil.
func (c *comparison) need(a *object.Atom, r object.Ref, entry bool) *object.Atom {
	if f, ok := c.arch.Field(r.Type); !ok || !f.Loads {
		name := f.Name
		if !ok {
			name = fmt.Sprintf("type %d", r.Type)
		}
		c.refuse("relocation", displayName(a), a, "it needs a relocation ("+name+") that the kernel's module loader does not know", "report this: the kernel is compiled in a way that is not supported")
		return nil
	}
	t := r.Target.Atom
	switch {
	case t == nil:
		if r.Target.Sym == nil && r.Type != 0 && r.Fixed {
			c.refuse("layout", displayName(a), a, "it refers to unnamed code by distance", "report this: the object is laid out in a way that is not supported")
		}
		return nil
	case t.Root() == a.Root() && t.Kind != object.Data:
		return t // its own inside, or a part of it
	case isValue(t):
		if !inside(t, r.Target) {
			c.refuse("layout", displayName(a), a, "it refers to a place outside "+displayName(t), "report this: the object is laid out in a way that is not supported")
		}
		return t
	case t.Kind == object.Anon || t.Kind == object.Repl:
		c.refuse("anonymous", displayName(a), a, "it refers to code or writable data in "+t.Section.Name+" that no symbol names", "give the datum a name")
		return nil
	case t.Kind == object.Func:
		return c.needFunc(a, r, entry)
	}
	return c.needData(a, r)
}

// inside reports whether a target is within the value it belongs to, or just
// past its end.
func inside(a *object.Atom, t object.Target) bool {
	return t.Off >= -int64(a.Entry) && t.Off <= int64(a.Size())
}

func (c *comparison) needFunc(a *object.Atom, r object.Ref, entry bool) *object.Atom {
	t := r.Target.Atom
	o := c.pairs.orig[t]
	if sectionIs(t.Section.Name, ".init", ".exit") {
		c.refuse("init", displayName(a), a, "it uses "+t.Name+", which is __init or __exit code and may be gone",
			"do not call it from code that runs later, or mark the change HOTPATCH_SKIP")
		return nil
	}
	if r.Target.Off != 0 {
		c.refuse("layout", displayName(a), a, fmt.Sprintf("it refers into the middle of %s (%+d)", t.Name, r.Target.Off), "report this: the object is laid out in a way that is not supported")
		return nil
	}
	if o == nil {
		return t
	}
	return nil
}

func (c *comparison) needData(a *object.Atom, r object.Ref) *object.Atom {
	t := r.Target.Atom
	if !r.Target.Exact && c.moved(t) {
		c.refuse("layout", displayName(a), a, "it uses "+t.Name+" in "+t.Section.Name+", to which the change adds or removes variables, so that it cannot be told which of two neighbours is meant",
			"compile with hotpatch build, which avoids this, or keep new variables out of that section")
		return nil
	}
	if c.pairs.orig[t] != nil {
		if sectionIs(t.Section.Name, ".init", ".exit") {
			c.refuse("init", displayName(a), a, "it uses "+t.Name+", which is __init data and gone after boot", "do not use it in code that runs later")
		}
		return nil
	}
	if c.doubtful[t] && !hasPrefix(t.Name, freshNames) {
		c.refuse("doubtful", t.Name, a, "there are several static variables of this name, and it cannot be told which of the running kernel's it is",
			"give the variable that the patch adds or moves a name of its own")
		return nil
	}
	if !mayBring(t.Section) {
		c.refuse("registry", t.Name, t, "it is new, and in "+t.Section.Name+", which only means something at boot or module load", "use ordinary data")
		return nil
	}
	return t
}

// moved reports whether the neighbours of a datum that shares its section
// changed.
func (c *comparison) moved(p *object.Atom) bool {
	o := c.pairs.orig[p]
	if o == nil {
		return true
	}
	if o.Section.Len() != p.Section.Len() {
		return true
	}
	for _, q := range c.Patched.Atoms {
		if q.Section == p.Section {
			if oq := c.pairs.orig[q]; oq == nil || oq.Section != o.Section || oq.Start != q.Start || oq.End != q.End {
				return true
			}
		}
	}
	return false
}

// takeIndex takes the printk index entries that were made for included
// functions: those whose function name says so.
func (c *comparison) takeIndex() {
	names := map[string]bool{}
	for a := range c.include {
		if a.Kind == object.Func {
			names[function(a.Name)] = true
		}
	}
	for _, ptr := range c.Patched.Atoms {
		if ptr.Section.Name != printkIndex || len(ptr.Refs) != 1 {
			continue
		}
		if e := ptr.Refs[0].Target.Atom; e != nil && names[indexFunction(e)] {
			c.Index = append(c.Index, ptr)
		}
	}
}

// indexFunction returns the name of the function that an entry of the printk
// index (struct pi_entry) is about: its second pointer, a string.
func indexFunction(e *object.Atom) string {
	for _, r := range e.Refs {
		if r.Off != 8 || r.Target.Atom == nil {
			continue
		}
		t := r.Target
		b := t.Atom.Bytes()
		if at := t.Off + int64(t.Atom.Entry); at >= 0 && at < int64(len(b)) {
			s, _, _ := strings.Cut(string(b[at:]), "\x00")
			return s
		}
	}
	return ""
}

// list sorts what was selected into the lists of the result.
func (c *comparison) list() {
	c.included = map[*object.Atom]bool{}
	for _, p := range c.Patched.Atoms {
		o := c.pairs.orig[p]
		if o != nil && p.Kind == object.Func && c.unlike[p] == nil {
			c.Same++
		}
		r := c.include[p]
		if r == nil {
			continue
		}
		c.included[p] = true
		c.Include = append(c.Include, p)
		switch {
		case p.Kind == object.Func && p.Root() != p:
		case p.Kind == object.Func && o != nil && c.unlike[p] != nil:
			c.Changed = append(c.Changed, Func{Name: p.Name, Old: o.Name, Orig: o, Patched: p, Reason: *r})
		case p.Kind == object.Func:
			n := *r
			if n.Why == WhyNeeded {
				n.Why = WhyNew
			}
			c.New = append(c.New, Func{Name: p.Name, Patched: p, Reason: n})
		case p.Kind == object.Data && !isValue(p):
			c.Data = append(c.Data, Datum{Name: p.Name, Patched: p, Reason: *r})
		}
	}
}

func displayName(a *object.Atom) string {
	if a.Name != "" {
		return a.Name
	}
	return a.Section.Name
}

// refuse records something that cannot be done, once.
func (c *comparison) refuse(rule, name string, a *object.Atom, what, remedy string) {
	r := Reason{}
	if a != nil {
		r.File, r.Line = c.patchedInfo.Line(a.Section, a.Start+a.Entry)
	}
	c.refuseAt(rule, name, &r, what, remedy)
}

func (c *comparison) refuseAt(rule, name string, at *Reason, what, remedy string) {
	if c.refused == nil {
		c.refused = map[string]bool{}
	}
	if key := rule + "\x00" + name + "\x00" + what; !c.refused[key] {
		c.refused[key] = true
		c.Refusals = append(c.Refusals, Refusal{Rule: rule, Name: name, What: what, Remedy: remedy, File: at.File, Line: at.Line})
	}
}

// judge refuses what the selected atoms make impossible as a whole.
func (c *comparison) judge() {
	group := map[*elfw.Section]bool{}
	for _, s := range c.Patched.File.Sections {
		if s.Group != nil {
			for _, m := range s.Group.Members {
				group[m] = true
			}
		}
	}
	repl := map[*object.Atom]bool{}
	for _, a := range c.Include {
		if group[a.Section] {
			c.refuse("group", displayName(a), a, "it is in a section group, of which the linker may have kept another object's copy", "change the code so that it is not in a group (no COMDAT)")
		}
		if a.Kind == object.Repl {
			repl[a] = true
		}
	}
	// An entry about replacement code outside its function has no owner.
	for _, e := range c.Patched.Entries {
		if e.Owner != nil {
			continue
		}
		for _, r := range e.Refs {
			if r.Off == int64(e.Table.Owner) && repl[r.Target.Atom] {
				c.refuse("table", displayName(r.Target.Atom.Root()), nil, "an entry of "+e.Table.Name+" is about replacement code kept apart from the function", "report this: the code is laid out in a way that is not supported")
			}
		}
	}
	c.foreignTables()
	for _, f := range c.New {
		if a := c.keeper(f.Patched); a != "" {
			c.Pinned = append(c.Pinned, fmt.Sprintf("%s takes the address of the new function %s", a, f.Name))
		}
	}
}

// foreignTables refuses functions whose code is named by a table that is not
// known here: whatever the kernel does with such an entry at boot (it patches
// instructions, for runtime constants), nobody would do it for the new code.
func (c *comparison) foreignTables() {
	for _, a := range c.Patched.Atoms {
		if a.Kind == object.Func || a.Kind == object.Repl || c.included[a] || c.index[a] || sectionIs(a.Section.Name, inert...) {
			continue
		}
		for _, r := range a.Refs {
			if t := r.Target; t.Atom != nil && t.Atom.Kind == object.Func && t.Off != 0 && c.included[t.Atom] {
				c.refuse("table", t.Atom.Root().Name, t.Atom, "the table "+a.Section.Name+" has an entry about its code, which the kernel acts on when it boots and not for modules",
					"change a caller of this function instead, or reboot into a kernel that has the change")
			}
		}
	}
}

// keeper returns the name of an included atom that takes the address of a, or
// "".
func (c *comparison) keeper(a *object.Atom) string {
	for _, from := range c.Include {
		for _, r := range from.Refs {
			if r.Target.Atom == a && r.Target.Off == 0 && c.useOf(r) != arch.UseCall {
				return displayName(from)
			}
		}
	}
	return ""
}

// sort puts the result's lists in an order that does not depend on the
// compiler's.
func (c *comparison) sort() {
	byName := func(l []Func) {
		sort.SliceStable(l, func(i, j int) bool { return l[i].Name < l[j].Name })
	}
	byName(c.Changed)
	byName(c.New)
	sort.SliceStable(c.Data, func(i, j int) bool { return c.Data[i].Name < c.Data[j].Name })
	sort.Strings(c.Removed)
}

func sizeText(o, p *object.Atom) string {
	return fmt.Sprintf("its size changes from %d to %d bytes", o.Size(), p.Size())
}
