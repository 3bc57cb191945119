package diff

import (
	"sort"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/debuginfo"
	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/object"
)

// comparison is a Result being made.
type comparison struct {
	*Result
	arch                  arch.Arch
	origInfo, patchedInfo *debuginfo.Info

	// index holds the data of the printk index, which nothing refers to.
	index map[*object.Atom]bool
	// values caches which values were found equal; a pair being compared
	// counts as equal, so that values may refer to each other.
	values map[[2]target]bool
	trail  [][2]target // pairs found equal under the one being compared
	// unlike holds what differs between correlated functions.
	unlike map[*object.Atom]*Reason
	// doubtful holds patched data that have counterparts, but not a certain
	// one.
	doubtful map[*object.Atom]bool
	include  map[*object.Atom]*Reason
	refused  map[string]bool
}

// target is a comparable form of what a reference means.
type target struct {
	atom *object.Atom
	off  int64
}

// pairs is a one-to-one relation between atoms of the two objects.
type pairs struct {
	orig    map[*object.Atom]*object.Atom // by patched atom
	patched map[*object.Atom]*object.Atom // by original atom
}

func (p *pairs) tie(orig, patched *object.Atom) {
	if p.orig[patched] == nil && p.patched[orig] == nil {
		p.orig[patched], p.patched[orig] = orig, patched
	}
}

// groupKey names atoms that may be each other's counterparts.
type groupKey struct {
	kind object.Kind
	name string
}

// group holds the atoms of one key that are not paired yet.
type group struct{ orig, patched []*object.Atom }

// correlate pairs the functions and data of the two objects.
func (c *comparison) correlate() {
	c.pairs = &pairs{map[*object.Atom]*object.Atom{}, map[*object.Atom]*object.Atom{}}
	c.values = map[[2]target]bool{}
	c.byName()
	groups := c.groups()
	c.byDeclaration(groups)
	c.functionsByContent(groups)
	c.byElimination(groups)
	c.byUse(groups)
	c.doubtful = map[*object.Atom]bool{}
	for key, g := range groups {
		if key.kind != object.Data {
			continue
		}
		if orig, patched := c.left(g); len(orig) > 0 {
			for _, a := range patched {
				c.doubtful[a] = true
			}
		}
	}
}

// identity reports whether an atom is something of its own that correlation
// must find, rather than a value that is compared by content.
func (c *comparison) identity(a *object.Atom) bool {
	switch a.Kind {
	case object.Func:
		return true
	case object.Data:
		return !isValue(a) && !c.index[a] && !sectionIs(a.Section.Name, hookPrefix)
	}
	return false
}

// isValue reports whether an atom is compared, and copied, by content.
func isValue(a *object.Atom) bool {
	switch a.Kind {
	case object.Pool:
		return true
	case object.Anon:
		// Unnamed writable data are the compiler's own if -fdata-sections
		// named their section after a local label (.data..Lubsan_data3).
		return !a.Section.Is(elfw.ShfExecinstr) &&
			(!a.Section.Is(elfw.ShfWrite) || hasPrefix(a.Section.Name, []string{".data..L", ".data.rel.local..L", ".data.rel.ro.local..L"}))
	case object.Data:
		return !a.Section.Is(elfw.ShfWrite) && hasPrefix(a.Name, valueNames)
	}
	return false
}

// byName pairs what has the same name on both sides, if the name has no
// numbers in it.
func (c *comparison) byName() {
	type key struct {
		kind object.Kind
		name string
	}
	orig := map[key]*object.Atom{}
	for _, a := range c.Orig.Atoms {
		if !c.identity(a) {
			continue
		}
		for _, s := range a.Symbols {
			if _, numbered := base(s.Name); !numbered {
				orig[key{a.Kind, s.Name}] = a
			}
		}
	}
	for _, a := range c.Patched.Atoms {
		for _, s := range a.Symbols {
			if o := orig[key{a.Kind, s.Name}]; o != nil && c.identity(a) {
				c.pairs.tie(o, a)
			}
		}
	}
}

func (c *comparison) groups() map[groupKey]*group {
	groups := map[groupKey]*group{}
	get := func(a *object.Atom) *group {
		name, _ := base(a.Name)
		k := groupKey{a.Kind, name}
		if groups[k] == nil {
			groups[k] = &group{}
		}
		return groups[k]
	}
	for _, a := range c.Orig.Atoms {
		if c.identity(a) && c.pairs.patched[a] == nil {
			g := get(a)
			g.orig = append(g.orig, a)
		}
	}
	for _, a := range c.Patched.Atoms {
		if c.identity(a) && c.pairs.orig[a] == nil {
			g := get(a)
			g.patched = append(g.patched, a)
		}
	}
	return groups
}

// left returns the atoms of a group that are still without a counterpart.
func (c *comparison) left(g *group) (orig, patched []*object.Atom) {
	for _, a := range g.orig {
		if c.pairs.patched[a] == nil {
			orig = append(orig, a)
		}
	}
	for _, a := range g.patched {
		if c.pairs.orig[a] == nil {
			patched = append(patched, a)
		}
	}
	return orig, patched
}

// each calls f for every group that has something left on both sides, in a
// fixed order.
func (c *comparison) each(groups map[groupKey]*group, f func(key groupKey, orig, patched []*object.Atom)) {
	keys := make([]groupKey, 0, len(groups))
	for k := range groups {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i].kind < keys[j].kind || keys[i].kind == keys[j].kind && keys[i].name < keys[j].name
	})
	for _, k := range keys {
		if orig, patched := c.left(groups[k]); len(orig) > 0 && len(patched) > 0 {
			f(k, orig, patched)
		}
	}
}

// byDeclaration pairs static variables of functions that were declared at the
// same place. Only groups in which there is a choice need it.
func (c *comparison) byDeclaration(groups map[groupKey]*group) {
	var origDecls, patchedDecls map[debuginfo.Place]string
	c.each(groups, func(key groupKey, orig, patched []*object.Atom) {
		if key.kind != object.Data || len(orig) == 1 && len(patched) == 1 {
			return
		}
		if origDecls == nil {
			origDecls, patchedDecls = c.origInfo.Locals(), c.patchedInfo.Locals()
		}
		from, to := unique(orig, origDecls), unique(patched, patchedDecls)
		for decl, o := range from {
			if p := to[decl]; o != nil && p != nil {
				c.pairs.tie(o, p)
			}
		}
	})
}

// unique maps each declaration to the only atom declared there, or to nil when
// there are several.
func unique(atoms []*object.Atom, decls map[debuginfo.Place]string) map[string]*object.Atom {
	m := map[string]*object.Atom{}
	for _, a := range atoms {
		decl, ok := decls[debuginfo.Place{Section: a.Section, Off: a.Start}]
		if !ok {
			continue
		}
		if _, twice := m[decl]; twice {
			m[decl] = nil
			continue
		}
		m[decl] = a
	}
	return m
}

// functionsByContent pairs clones: first those with equal instructions, then
// those with equal names, then in order. Any pairing is right (see the package
// comment); this one keeps the result small.
func (c *comparison) functionsByContent(groups map[groupKey]*group) {
	c.each(groups, func(key groupKey, orig, patched []*object.Atom) {
		if key.kind != object.Func {
			return
		}
		for _, same := range []func(o, p *object.Atom) bool{
			func(o, p *object.Atom) bool { return string(c.masked(o)) == string(c.masked(p)) },
			func(o, p *object.Atom) bool { return o.Name == p.Name },
			func(o, p *object.Atom) bool { return true },
		} {
			for _, p := range patched {
				for _, o := range orig {
					if c.pairs.orig[p] == nil && c.pairs.patched[o] == nil && same(o, p) {
						c.pairs.tie(o, p)
					}
				}
			}
		}
	})
}

// byElimination pairs data when one is left on each side.
func (c *comparison) byElimination(groups map[groupKey]*group) {
	c.each(groups, func(key groupKey, orig, patched []*object.Atom) {
		if len(orig) == 1 && len(patched) == 1 {
			c.pairs.tie(orig[0], patched[0])
		}
	})
}

// byUse pairs data that correlated functions with the same instructions refer
// to at the same places. A pair is made only if all its users agree.
func (c *comparison) byUse(groups map[groupKey]*group) {
	votes := map[*object.Atom]map[*object.Atom]bool{} // by patched, then original
	c.each(groups, func(key groupKey, orig, patched []*object.Atom) {
		if key.kind == object.Data {
			for _, p := range patched {
				votes[p] = map[*object.Atom]bool{}
			}
		}
	})
	if len(votes) == 0 {
		return
	}
	for _, p := range c.Patched.Atoms {
		o := c.pairs.orig[p]
		if o == nil || p.Kind != object.Func || len(o.Refs) != len(p.Refs) || string(c.masked(o)) != string(c.masked(p)) {
			continue
		}
		for i, r := range p.Refs {
			if v := votes[r.Target.Atom]; v != nil && o.Refs[i].Target.Atom != nil {
				v[o.Refs[i].Target.Atom] = true
			}
		}
	}
	wanted := map[*object.Atom]int{}
	for _, v := range votes {
		for o := range v {
			wanted[o]++
		}
	}
	c.each(groups, func(key groupKey, orig, patched []*object.Atom) {
		if key.kind != object.Data {
			return
		}
		for _, p := range patched {
			for _, o := range orig {
				if len(votes[p]) == 1 && votes[p][o] && wanted[o] == 1 {
					c.pairs.tie(o, p)
				}
			}
		}
	})
}
