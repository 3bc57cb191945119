package module_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"cloudkernel/kpatch-arm64/arm64"
	"cloudkernel/kpatch-arm64/diff"
	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/image"
	"cloudkernel/kpatch-arm64/internal/cctest"
	"cloudkernel/kpatch-arm64/internal/cgen"
	"cloudkernel/kpatch-arm64/module"
	"cloudkernel/kpatch-arm64/object"
)

// rest stands for the kernel around the object under test.
const rest = `
int printk(const char *f, ...) { return 1; } int other(int x) { return x; } int sink(void *p) { return 0; }
int hidden(int x) { return x; } void patch_me(void) { }
static int count = 7, twice; int *keep[] = { &count, &twice };
__attribute__((section(".init.text"))) int early(int x) { return x; }
__attribute__((section(".init.data"))) int start = 3; __attribute__((section(".data..percpu"))) int percpu = 4;
`

// linker puts the init code where the symbols say it is.
const linker = `SECTIONS {
 . = 0xffff800080000000; .text : { *(.text .text.* .sched.text) }
 . = ALIGN(4096); .init.text : { __init_begin = .; *(.init.text) }
 .data..percpu : { __per_cpu_start = .; *(.data..percpu) __per_cpu_end = .; }
 .init.data : { *(.init.data) __init_end = .; }
 . = ALIGN(4096); .rodata : { *(.rodata .rodata.*) } .data : { *(.data .data.*) } .bss : { *(.bss .bss.* COMMON) }
 .note.gnu.build-id : { *(.note.gnu.build-id) }
 __ex_table : { *(__ex_table) } .altinstructions : { *(.altinstructions) } __jump_table : { *(__jump_table) } __bug_table : { *(__bug_table) }
 __patchable_function_entries : { *(__patchable_function_entries) }
}`

// made is a module on its way through the steps.
type made struct {
	res  *diff.Result
	plan *module.Plan
	ko   []byte
}

// make compiles a pair, links a kernel from the original, and makes the module.
func build(t testing.TB, src string, l cctest.Layout) made {
	t.Helper()
	before, after := cgen.Pair(src)
	var objs [2]*object.Object
	for i, s := range []string{before, after} {
		var err error
		if objs[i], err = object.Read(cctest.Precise(t, "test.c", s, l), arm64.Arch); err != nil {
			t.Fatal(err)
		}
	}
	res, err := diff.Compare(objs[0], objs[1])
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Refusals) > 0 {
		t.Fatalf("refused: %v", res.Refusals)
	}
	builtData := cctest.Built(t, "test.c", before, l)
	built, err := object.Read(builtData, arm64.Arch)
	if err != nil {
		t.Fatal(err)
	}
	if err := diff.Twin(built, objs[0]); err != nil {
		t.Fatalf("twin: %v", err)
	}
	vmlinux := cctest.Link(t, [][]byte{builtData, cctest.Built(t, "rest.c", rest, cctest.Layouts[0])}, "--build-id=sha1", "-e", "0", "-T", cctest.File(t, "vmlinux.lds", linker))
	im, err := image.ReadVmlinux(vmlinux)
	if err != nil {
		t.Fatal(err)
	}
	place, err := im.Place(built.File)
	if err != nil {
		t.Fatal(err)
	}
	part := &module.Part{Name: "test.o", Diff: res, Image: im, Place: place}
	plan := module.NewPlan(module.Target{Vmlinux: im, Exports: map[string]bool{"printk": true}}, []*module.Part{part}, false)
	m := made{res: res, plan: plan}
	if len(plan.Refusals) > 0 || res.Empty() {
		return m
	}
	m.ko = link(t, plan, l)
	if err := plan.Verify(m.ko); err != nil {
		t.Fatal(err)
	}
	return m
}

// link does what kbuild would, without a kernel: the C file that registers the
// replacements becomes a table of pointers to them.
func link(t testing.TB, plan *module.Plan, l cctest.Layout) []byte {
	t.Helper()
	part, err := plan.Assemble(0)
	if err != nil {
		t.Fatal(err)
	}
	var stub, table strings.Builder
	for _, m := range regexp.MustCompile(`extern \w+ (\w+)\(`).FindAllStringSubmatch(plan.Source("test"), -1) {
		fmt.Fprintf(&stub, "extern void %s(void);\n", m[1])
		fmt.Fprintf(&table, "%s, ", m[1])
	}
	fmt.Fprintf(&stub, "void *funcs[] = { %s };\n", table.String())
	linked := cctest.Link(t, [][]byte{cctest.Built(t, "register.c", stub.String(), l), part}, "-r")
	man := &module.Manifest{Name: "test", BuildID: "1234"}
	plan.Describe(man)
	ko, err := module.Finish(linked, man)
	if err != nil {
		t.Fatal(err)
	}
	return ko
}

func TestReferences(t *testing.T) {
	m := build(t, `
extern int hidden(int); static int count; int global; static int twice;
noipa int changed(int x, u64 *p) { ⟦||count++; global--; hidden(x); WARN_ON(x == 3); other(x); sink(changed); sink(&twice);⟧ return printk("hello"); }
static used noipa int recursive(int x) { return x ? recursive(x - 1) + ⟦1||2⟧ : sink(&count) + sink(&twice); }
`, cctest.Layouts[3])
	f, err := elfw.Read(m.ko)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, s := range f.Sections {
		for _, r := range s.Relocs {
			name := "?"
			if r.Sym != nil {
				name = r.Sym.Name
			}
			got[s.Name+" "+name] = true
		}
		if strings.HasPrefix(s.Name, ".klp.rela.") && (!s.Is(elfw.ShfRelaLivepatch|elfw.ShfAlloc) || s.Target == nil || "."+s.Name[len(".klp.rela.vmlinux."):] != "."+s.Target.Name) {
			t.Errorf("section %s has flags %#x and target %v", s.Name, s.Flags, s.Target)
		}
	}
	for _, want := range []string{
		".rela.text printk", // exported
		".klp.rela.vmlinux..text .klp.sym.vmlinux.hidden,0", // global, not exported
		".klp.rela.vmlinux..text .klp.sym.vmlinux.count,2",  // of two in address order: .bss is behind .data
		".klp.rela.vmlinux..text .klp.sym.vmlinux.twice,1",  // both in .bss: the first object's
		".klp.rela.vmlinux..text .klp.sym.vmlinux.global,0",
		".klp.rela.vmlinux..text .klp.sym.vmlinux.changed,0",   // its own address is the original's
		".klp.rela.vmlinux..text .klp.sym.vmlinux.recursive,0", // and so is a call to itself
		".rela.data changed", // what is registered is the replacement
		".rela.data recursive",
	} {
		if !got[want] {
			t.Errorf("there is no reference %q", want)
		}
	}
	for _, s := range f.Symbols {
		if strings.Contains(s.Name, "hotpatch") {
			t.Errorf("symbol %s is left over", s.Name)
		}
		if s.Undefined() && s.Name != "printk" {
			t.Errorf("symbol %s is undefined", s.Name)
		}
	}
	if bytes.Contains(f.Section(".strtab").Data, []byte("hotpatch-klp")) {
		t.Error("the string table holds names that nothing uses")
	}
	man, err := module.ReadManifest(m.ko)
	if err != nil {
		t.Fatal(err)
	}
	var funcs []string
	for _, fn := range man.Objects[0].Functions {
		funcs = append(funcs, fn.Name)
	}
	if s := strings.Join(funcs, " "); s != "changed recursive" {
		t.Errorf("the manifest names %q", s)
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"init function of another object", `extern int early(int); noipa int f(int x) { return x⟦|| + early(x)⟧; }`, "init"},
		{"uses a weak function that another object defines", `__attribute__((weak)) noipa int hidden(int x) { return 1; } noipa int f(int x) { return hidden(x)⟦|| + 1⟧; }`, ""},
		{"weak function that another object defines", `__attribute__((weak)) noipa int hidden(int x) { return ⟦1||2⟧; } noipa int f(int x) { return hidden(x); }`, "weak"},
		{"init data of another object", `extern int start; noipa int f(int x) { return x⟦|| + start⟧; }`, "init"},
		{"per-CPU data of another object", `extern int percpu; noipa int f(int x) { return x⟦|| + percpu⟧; }`, ""},
		{"what the kernel does not have", `extern int missing(int); noipa int f(int x) { return x⟦|| + missing(x)⟧; }`, "symbol"},
	} {
		m := build(t, tt.src, cctest.Layouts[0])
		if tt.want == "" && len(m.plan.Refusals) == 0 {
			continue
		}
		if len(m.plan.Refusals) != 1 || m.plan.Refusals[0].Rule != tt.want {
			t.Errorf("%s: refused with %v, want the rule %s", tt.name, m.plan.Refusals, tt.want)
		}
	}
}

// Verify must notice every kind of damage, or it is of no use.
func TestVerifyNotices(t *testing.T) {
	m := build(t, `
struct key k; noipa int f(int x, u64 *p) { ⟦||other(3);⟧ WARN_ON(x == 9); ALT("nop", "wfi", 3); if (branch(&k)) return LOAD(p); return printk("hello") + other(x) + table(x); }
int table(int x) { switch (x) { case 0: return 5; case 1: return 7; case 2: return 1; case 3: return 99; case 4: return 1; } return 8; }
`, cctest.Layouts[2])
	damage := map[string]func(f *elfw.File) bool{
		"an instruction": func(f *elfw.File) bool {
			s := f.Symbol("f")
			s.Section.Data[s.Value+16] ^= 1
			return true
		},
		"a string": func(f *elfw.File) bool {
			for _, s := range f.Sections {
				if i := bytes.Index(s.Data, []byte("hello")); i >= 0 && s.Name == ".rodata" {
					s.Data[i] = 'j'
					return true
				}
			}
			return false
		},
		"a symbol's position": func(f *elfw.File) bool {
			s := f.Symbol(".klp.sym.vmlinux.other,0")
			s.Name = ".klp.sym.vmlinux.other,2"
			return true
		},
		"a patch site": func(f *elfw.File) bool {
			for _, s := range f.Sections {
				if s.Name == ".rela__patchable_function_entries" {
					for i := range s.Relocs {
						s.Relocs[i].Addend += 4
					}
					return true
				}
			}
			return false
		},
	}
	for _, table := range []string{"__ex_table", "__jump_table", "__bug_table", ".altinstructions"} {
		damage["an entry of "+table] = func(f *elfw.File) bool {
			s := f.Section(table)
			s.Data = nil
			f.RelocsOf(s)[0].Relocs = nil
			for _, r := range f.RelocsOf(s) {
				r.Relocs = []elfw.Reloc{}
			}
			return true
		}
	}
	damage["a replacement"] = func(f *elfw.File) bool {
		for _, s := range f.Sections {
			if i := bytes.Index(s.Data, []byte{0x7f, 0x20, 0x03, 0xd5}); i >= 0 && s.Is(elfw.ShfExecinstr) { // wfi
				s.Data[i] = 0x5f
				return true
			}
		}
		return false
	}
	damage["an addend"] = func(f *elfw.File) bool {
		for _, s := range f.Sections {
			if s.Name == ".klp.rela.vmlinux..text" {
				s.Relocs[0].Addend += 8
				return true
			}
		}
		return false
	}
	damage["when it is applied"] = func(f *elfw.File) bool {
		for _, s := range f.Sections {
			if s.Name == ".klp.rela.vmlinux..text" {
				s.Name = ".klp.rela.ext4..text"
				return true
			}
		}
		return false
	}
	for name, hurt := range damage {
		f, err := elfw.Read(bytes.Clone(m.ko))
		if err != nil {
			t.Fatal(err)
		}
		if !hurt(f) {
			t.Errorf("%s: there was nothing to damage", name)
			continue
		}
		f.Repack()
		bad, err := f.Bytes()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := m.plan.Verify(bad); err == nil {
			t.Errorf("Verify did not notice damage to %s", name)
		}
	}
}

// The kernel binds the keys of a livepatch when it loads it, at a time at which
// the module that owns one may not be there.
func TestModuleOwnedKey(t *testing.T) {
	src := `struct key k; noipa int f(int x) { ⟦||other(1);⟧ return branch(&k) ? other(2) : x; }`
	before, after := cgen.Pair(src)
	l := cctest.Layouts[2]
	read := func(data []byte) *object.Object {
		o, err := object.Read(data, arm64.Arch)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	res, err := diff.Compare(read(cctest.Precise(t, "test.c", before, l)), read(cctest.Precise(t, "test.c", after, l)))
	if err != nil {
		t.Fatal(err)
	}
	built := cctest.Built(t, "test.c", before, l)
	im, err := image.ReadModule("driver", cctest.Link(t, [][]byte{built}, "-r"))
	if err != nil {
		t.Fatal(err)
	}
	place, err := im.Place(read(built).File)
	if err != nil {
		t.Fatal(err)
	}
	vmlinux, err := image.ReadVmlinux(cctest.Link(t, [][]byte{cctest.Built(t, "rest.c", rest, cctest.Layouts[0])}, "-e", "0", "-T", cctest.File(t, "vmlinux.lds", linker)))
	if err != nil {
		t.Fatal(err)
	}
	plan := module.NewPlan(module.Target{Vmlinux: vmlinux}, []*module.Part{{Name: "test.o", Diff: res, Image: im, Place: place}}, false)
	if len(plan.Refusals) != 1 || plan.Refusals[0].Rule != "static-key" || !strings.Contains(plan.Refusals[0].Error(), "static_key_enabled()") {
		t.Errorf("refused with %v", plan.Refusals)
	}
}
