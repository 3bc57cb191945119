package diff

import (
	"fmt"
	"strings"

	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/object"
)

// printkIndex is the section of pointers to the descriptions of printk formats
// (linux/printk.h, __printk_index_emit). The code does not refer to them.
const printkIndex = ".printk_index"

// findIndex marks the data of the printk index in both objects.
func (c *comparison) findIndex() {
	c.index = map[*object.Atom]bool{}
	for _, o := range []*object.Object{c.Orig, c.Patched} {
		for _, a := range o.Atoms {
			if a.Section.Name != printkIndex {
				continue
			}
			c.index[a] = true
			for _, r := range a.Refs {
				if r.Target.Atom != nil && r.Target.Atom.Kind == object.Data {
					c.index[r.Target.Atom] = true
				}
			}
		}
	}
}

// registries are sections that the kernel reads once, when it boots or loads
// the module: a new entry in a hotpatch would not be seen.
var registries = []string{
	".con_initcall", ".init.setup", ".ctors", ".init_array",
	"__param", "__modver", "__ksymtab", "___ksymtab", ".BTF_ids",
	"_ftrace_events", "__tracepoints", "__tracepoints_ptrs", "__bpf_raw_tp_map", "_ftrace_eval_map", "__syscalls_metadata",
	".kunit_test_suites", ".kunit_init_test_suites", "_error_injection_whitelist", "__dyndbg_classes",
	"__of_table", "__irqchip_of_table", "__irqchip_acpi_probe_table", "__timer_of_table", "__timer_acpi_probe_table",
	"__clk_of_table", "__earlycon_table", "__reservedmem_of_table", "__cpu_method_of_table", "__cpuidle_method_of_table",
}

func registry(section string) bool {
	return strings.HasPrefix(section, ".initcall") || sectionIs(section, registries...)
}

// inert are sections that no running code looks at.
var inert = []string{".modinfo", ".discard", ".comment", ".export_symbol", ".gnu.linkonce.this_module", "__versions", ".eh_frame", hookPrefix, printkIndex}

// unpair gives the new code a copy of its own of data that the patch asks it
// for, and of the descriptions of pr_debug calls whose text or line changed.
func (c *comparison) unpair() {
	for _, p := range c.Patched.Atoms {
		o := c.pairs.orig[p]
		if o == nil || p.Kind != object.Data {
			continue
		}
		if c.Hooks.Copy[p] || sectionIs(p.Section.Name, "__dyndbg") && !c.sameContent(o, p) {
			delete(c.pairs.orig, p)
			delete(c.pairs.patched, o)
		}
	}
	clear(c.values) // what was equal may refer to what is no longer paired
}

// compareData looks for data whose initial content or size differs.
func (c *comparison) compareData() {
	for _, p := range c.Patched.Atoms {
		o := c.pairs.orig[p]
		if o == nil || p.Kind != object.Data || sectionIs(p.Section.Name, inert...) || c.sameContent(o, p) {
			continue
		}
		switch {
		case c.Hooks.Skip[p]:
			c.Notes = append(c.Notes, fmt.Sprintf("%s changes its initial content, and is left as it is because the patch says HOTPATCH_SKIP", p.Name))
		case sectionIs(p.Section.Name, ".init", ".exit"):
			c.refuse("init", p.Name, p, "its initial content changes, and is thrown away when the kernel has booted",
				"say HOTPATCH_SKIP("+p.Name+") in the patch if what was done at boot need not be done again; else reboot into a kernel that has the change")
		case p.Size() != o.Size():
			c.refuse("data-size", p.Name, p, sizeText(o, p),
				"existing variables cannot grow or shrink: keep the new part in a shadow variable (HOTPATCH_SHADOW) or in a new variable")
		default:
			c.refuse("data", p.Name, p, "its initial content changes, which does not change the variable of the running kernel",
				"set it from a callback (HOTPATCH_PRE_PATCH), keep new state in a shadow variable (HOTPATCH_SHADOW), or let the new code use a copy (HOTPATCH_COPY)")
		}
	}
	c.compareRegistries()
}

// exportMark begins the names of the symbols that EXPORT_SYMBOL leaves for
// modpost (linux/export.h).
const exportMark = "__export_symbol_"

// compareRegistries looks for new entries in tables that are read only once.
func (c *comparison) compareRegistries() {
	for _, p := range c.Patched.Atoms {
		if name, ok := strings.CutPrefix(p.Name, exportMark); ok && c.pairs.orig[p] == nil {
			c.Notes = append(c.Notes, fmt.Sprintf("EXPORT_SYMBOL(%s) has no effect in a hotpatch: modules are bound to the kernel's own exports", name))
			continue
		}
		if p.Kind != object.Data && p.Kind != object.Anon || c.pairs.orig[p] != nil || !registry(p.Section.Name) ||
			sectionIs(p.Section.Name, inert...) || c.doubtful[p] {
			continue
		}
		if p.Kind == object.Anon && c.sameAnon(p) {
			continue
		}
		name := p.Name
		if name == "" {
			name = p.Section.Name
		}
		c.refuse("registry", name, p, "it is a new or changed entry of "+p.Section.Name+", which the kernel reads only when it boots or loads the module",
			"register it from a callback (HOTPATCH_POST_PATCH) if there is a function for that, or reboot")
	}
}

// sameAnon reports whether the original object has unnamed data like p.
func (c *comparison) sameAnon(p *object.Atom) bool {
	for _, o := range c.Orig.Atoms {
		if o.Kind == object.Anon && o.Section.Name == p.Section.Name && c.sameContent(o, p) {
			return true
		}
	}
	return false
}

// mayBring reports whether a new datum in a section means the same in a
// module.
func mayBring(s *elfw.Section) bool {
	if s.Is(elfw.ShfTLS) || registry(s.Name) || sectionIs(s.Name, inert...) {
		return false
	}
	return true
}
