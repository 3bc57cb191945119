package diff

import (
	"fmt"
	"sort"
	"strings"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/object"
)

// Twin makes sure that an object compiled for comparison stands for the one a
// kernel was linked from. They were compiled with different section flags, so
// that addresses are formed differently; but they must define the same
// functions and variables, and every function must call the same others. If
// one inlines what the other calls, a change could be missed. Only functions of
// the same object can be inlined: those must be called equally often, while of
// calls to others the compiler may have merged some that do the same.
func Twin(built, compared *object.Object) error {
	b, c := contents(built), contents(compared)
	for name, want := range b {
		have, ok := c[name]
		switch {
		case !ok:
			return fmt.Errorf("the kernel's object defines %s, and compiling its source again does not", name)
		case have != want:
			return fmt.Errorf("%s is not the same: in the kernel's object it is %s; compiled again it is %s", name, want, have)
		}
	}
	for name := range c {
		if _, ok := b[name]; !ok {
			return fmt.Errorf("compiling the source again defines %s, and the kernel's object does not", name)
		}
	}
	return nil
}

// contents describes what an object defines, by name.
func contents(o *object.Object) map[string]string {
	m := map[string]string{}
	for _, a := range o.Atoms {
		if a.Name == "" || a.Kind != object.Func && a.Kind != object.Data || sectionIs(a.Section.Name, inert...) {
			continue
		}
		text := ""
		if a.Kind == object.Func {
			text = "a function that " + calls(o, a)
		}
		for _, s := range a.Symbols {
			m[s.Name] = text
			if text == "" { // things without a size may share an address
				m[s.Name] = fmt.Sprintf("a variable of %d bytes", s.Size)
			}
		}
	}
	return m
}

// calls names the functions that a function calls: those of its object as often
// as it does, others once.
func calls(o *object.Object, a *object.Atom) string {
	var names []string
	others := map[string]bool{}
	size := int64(0) // without replacements that follow in its section
	for _, s := range a.Symbols {
		size = max(size, int64(s.Size))
	}
	for _, r := range a.Refs {
		f, _ := o.Arch.Field(r.Type)
		if r.Off >= size || f.Use != arch.UseCall || r.Target.Off != 0 {
			continue
		}
		if t := r.Target.Atom; t != nil && t.Kind == object.Func && t.Root() != a.Root() {
			names = append(names, t.Name)
		} else if t == nil && r.Target.Sym != nil && !others[r.Target.Sym.Name] {
			others[r.Target.Sym.Name] = true
			names = append(names, r.Target.Sym.Name)
		}
	}
	if len(names) == 0 {
		return "calls nothing"
	}
	sort.Strings(names)
	return "calls " + strings.Join(names, ", ")
}
