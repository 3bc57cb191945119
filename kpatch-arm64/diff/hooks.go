package diff

import (
	"fmt"
	"sort"

	"cloudkernel/kpatch-arm64/object"
)

// hookPrefix begins the names of the sections that the macros of hotpatch.h
// put their pointers in.
const hookPrefix = ".hotpatch"

// Hooks are what a patch asks for through hotpatch.h.
type Hooks struct {
	// Callbacks are the functions the kernel calls around the transition, by
	// kind: pre_patch, post_patch, pre_unpatch, post_unpatch.
	Callbacks map[string]*object.Atom
	// Skip are functions and data whose change does not matter at run time.
	Skip map[*object.Atom]bool
	// Copy are data that the new code uses a copy of.
	Copy map[*object.Atom]bool
}

var callbackKinds = []string{"pre_patch", "post_patch", "pre_unpatch", "post_unpatch"}

// readHooks reads the sections of hotpatch.h in the patched object.
func (c *comparison) readHooks() error {
	h := Hooks{Callbacks: map[string]*object.Atom{}, Skip: map[*object.Atom]bool{}, Copy: map[*object.Atom]bool{}}
	for _, a := range c.Patched.Atoms {
		if !sectionIs(a.Section.Name, hookPrefix) {
			continue
		}
		kind := ""
		if len(a.Section.Name) > len(hookPrefix) {
			kind = a.Section.Name[len(hookPrefix)+1:]
		}
		for _, r := range a.Refs {
			t := r.Target.Atom
			if t == nil || r.Target.Off != 0 {
				return fmt.Errorf("section %s: %s is not defined in this file; use the macro in the file that defines it", a.Section.Name, targetText(r.Target))
			}
			if err := h.add(kind, t); err != nil {
				return err
			}
		}
	}
	c.Hooks = h
	return nil
}

func (h *Hooks) add(kind string, a *object.Atom) error {
	if kind != "skip" && (kind == "copy") != (a.Kind == object.Data) {
		return fmt.Errorf("section %s.%s: %s is a %s", hookPrefix, kind, a.Name, a.Kind)
	}
	switch kind {
	case "skip":
		h.Skip[a] = true
		return nil
	case "copy":
		h.Copy[a] = true
		return nil
	}
	for _, k := range callbackKinds {
		if k != kind {
			continue
		}
		if old := h.Callbacks[kind]; old != nil && old != a {
			return fmt.Errorf("two %s callbacks, %s and %s: one an object is what the kernel takes; call one from the other", kind, old.Name, a.Name)
		}
		h.Callbacks[kind] = a
		return nil
	}
	return fmt.Errorf("unknown section %s.%s: it is made by no macro of this version's hotpatch.h", hookPrefix, kind)
}

// kinds returns the kinds of callbacks that are set, in a fixed order.
func (h *Hooks) kinds() []string {
	var list []string
	for k := range h.Callbacks {
		list = append(list, k)
	}
	sort.Strings(list)
	return list
}
