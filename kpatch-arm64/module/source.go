package module

import (
	"fmt"
	"sort"
	"strings"
	"text/template"

	"cloudkernel/kpatch-arm64/image"
	"cloudkernel/kpatch-arm64/object"
)

// callback is a function that the kernel calls around a transition.
type callback struct {
	part  *Part
	kind  string
	atom  *object.Atom
	alias string
}

// callbacks returns all callbacks in a fixed order.
func (p *Plan) callbacks() []callback {
	var list []callback
	for _, part := range p.Parts {
		for kind, atom := range part.Diff.Hooks.Callbacks {
			list = append(list, callback{part: part, kind: kind, atom: atom})
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return a.part.Name+a.kind < b.part.Name+b.kind
	})
	for i := range list {
		list[i].alias = alias("call", i)
	}
	return list
}

// source is the C file that registers the replacements. Every patched object of
// the kernel (vmlinux, or a module) has a list of functions and its callbacks.
var source = template.Must(template.New("module").Parse(`// SPDX-License-Identifier: GPL-2.0
/* Registers the functions beside it with the livepatch core. Generated. */
#include <linux/livepatch.h>
#include <linux/module.h>
{{range .Objects}}{{range .Funcs}}
extern void {{.Alias}}(void);{{end}}{{range .Calls}}
extern {{.Type}} {{.Alias}}(struct klp_object *obj);{{end}}{{end}}
{{range $i, $o := .Objects}}
static struct klp_func funcs_{{$i}}[] = {
{{- range .Funcs}}
	{ .old_name = "{{.Old}}", .new_func = {{.Alias}}, .old_sympos = {{.Pos}} },{{end}}
	{ }
};
{{end}}
static struct klp_object objects[] = {
{{- range $i, $o := .Objects}}
	{
		{{- if .Module}}
		.name = "{{.Module}}",{{end}}
		.funcs = funcs_{{$i}},{{range .Calls}}
		.callbacks.{{.Kind}} = {{.Alias}},{{end}}
	},{{end}}
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
	.replace = {{.Replace}},
};

static int hotpatch_init(void)
{
	return klp_enable_patch(&patch);
}

/* The module may only go when the livepatch core says so. */
static void hotpatch_exit(void)
{
}

module_init(hotpatch_init);
module_exit(hotpatch_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("{{.Description}}");
MODULE_INFO(livepatch, "Y");
`))

type sourceObject struct {
	Module string // "" for vmlinux
	Funcs  []sourceFunc
	Calls  []sourceCall
}

type sourceFunc struct {
	Old, Alias string
	Pos        int
}

type sourceCall struct{ Kind, Alias, Type string }

// Source returns the C source of the module. The description is shown by
// modinfo.
func (p *Plan) Source(description string) string {
	objects := map[string]*sourceObject{}
	get := func(im *image.Image) *sourceObject {
		o := objects[im.Name]
		if o == nil {
			o = &sourceObject{}
			if im.Name != image.Vmlinux {
				o.Module = im.Name
			}
			objects[im.Name] = o
		}
		return o
	}
	for i, f := range p.funcs {
		o := get(f.part.Image)
		o.Funcs = append(o.Funcs, sourceFunc{f.old.Name, alias("new", i), f.old.Pos})
	}
	for _, c := range p.callbacks() {
		typ := "void"
		if c.kind == "pre_patch" {
			typ = "int"
		}
		o := get(c.part.Image)
		o.Calls = append(o.Calls, sourceCall{c.kind, c.alias, typ})
	}
	names := make([]string, 0, len(objects))
	for n := range objects {
		names = append(names, n)
	}
	sort.Strings(names)
	var data struct {
		Objects     []*sourceObject
		Replace     bool
		Description string
	}
	for _, n := range names {
		data.Objects = append(data.Objects, objects[n])
	}
	data.Replace, data.Description = p.Replace, cString(description)
	var b strings.Builder
	if err := source.Execute(&b, data); err != nil {
		panic(fmt.Sprintf("the template does not fit its data: %v", err))
	}
	return b.String()
}

// cString makes a text safe to stand between double quotes in C.
func cString(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' || r == '?' {
			return '_'
		}
		return r
	}, s)
}
