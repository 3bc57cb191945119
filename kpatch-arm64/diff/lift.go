package diff

import (
	"fmt"

	"cloudkernel/kpatch-arm64/object"
)

// lift deals with changed functions that have no patch site and so cannot be
// redirected. The kernel's "inline" means notrace, too, so that a static inline
// function that the compiler leaves out of line is one of them; every system
// call is. Those who call it are in the same object: they are replaced in its
// stead, and call a copy that comes along.
func (c *comparison) lift() {
	for again := true; again; {
		again = false
		for _, p := range c.Patched.Atoms {
			if c.unlike[p] == nil || c.Hooks.Skip[p] || !c.liftable(p) {
				continue
			}
			callers, ok := c.callers(p)
			if !ok {
				continue // it is refused as what it is
			}
			for _, q := range callers {
				if c.pairs.orig[q] != nil && c.unlike[q] == nil {
					c.unlike[q] = &Reason{Why: WhyCallee, By: p.Name}
				}
			}
			c.Notes = append(c.Notes, fmt.Sprintf("%s has no patch site: its callers are replaced, and call a copy", p.Name))
			for _, part := range c.Patched.Atoms {
				if part.Root() == p {
					delete(c.unlike, part)
				}
			}
			delete(c.pairs.patched, c.pairs.orig[p])
			delete(c.pairs.orig, p)
			again = true
		}
	}
}

// liftable reports whether a changed function is ordinary code of one file, but
// for its missing patch site.
func (c *comparison) liftable(p *object.Atom) bool {
	o := c.pairs.orig[p]
	if o == nil || p.Root() != p || !p.Local() || !sectionIs(o.Section.Name, ".text") {
		return false
	}
	_, site := o.Root().Site()
	return !site
}

// callers returns the functions that refer to p, split-off parts by their
// whole. ok is false if something else does, too: a table of functions, say.
func (c *comparison) callers(p *object.Atom) (list []*object.Atom, ok bool) {
	seen := map[*object.Atom]bool{}
	for _, q := range c.Patched.Atoms {
		root := q.Root()
		if root == p || seen[root] || sectionIs(q.Section.Name, inert...) || !c.refersTo(q, p) {
			continue
		}
		if q.Kind != object.Func && q.Kind != object.Repl {
			return nil, false
		}
		if sectionIs(root.Section.Name, ".init", ".exit") {
			continue // it has run, or will go with its module
		}
		seen[root] = true
		list = append(list, root)
	}
	return list, true
}

func (c *comparison) refersTo(q, p *object.Atom) bool {
	refers := func(refs []object.Ref) bool {
		for _, r := range refs {
			if t := r.Target.Atom; t != nil && t.Root() == p {
				return true
			}
		}
		return false
	}
	if refers(q.Refs) {
		return true
	}
	for _, e := range q.Entries {
		if refers(e.Refs) {
			return true
		}
	}
	return false
}
