package diff_test

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
	"testing"

	"cloudkernel/kpatch-arm64/arm64"
	"cloudkernel/kpatch-arm64/diff"
	"cloudkernel/kpatch-arm64/internal/cctest"
	"cloudkernel/kpatch-arm64/internal/cgen"
	"cloudkernel/kpatch-arm64/object"
)

func compare(t testing.TB, src string, l cctest.Layout) *diff.Result {
	t.Helper()
	before, after := cgen.Pair(src)
	var objs [2]*object.Object
	for i, s := range []string{before, after} {
		var err error
		if objs[i], err = object.Read(cctest.Precise(t, "x.c", s, l), arm64.Arch); err != nil {
			t.Fatal(err)
		}
	}
	res, err := diff.Compare(objs[0], objs[1])
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// summary writes what was found in one line, for tables.
func summary(r *diff.Result) string {
	var parts []string
	for _, f := range r.Changed {
		parts = append(parts, "~"+f.Old)
	}
	for _, f := range r.New {
		parts = append(parts, "+"+f.Name)
	}
	for _, d := range r.Data {
		parts = append(parts, "+"+regexp.MustCompile(`[0-9]+$`).ReplaceAllString(d.Name, "N"))
	}
	seen := map[string]bool{}
	for _, f := range r.Refusals {
		if s := "!" + f.Rule; !seen[s] {
			seen[s] = true
			parts = append(parts, s)
		}
	}
	sort.Strings(parts)
	return strings.Join(parts, " ")
}

func TestCompare(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"nothing", `int f(int x) { return x; }`, ``},
		{"constant", `int f(int x) { return x + ⟦1||2⟧; } int g(int x) { return x; }`, `~f`},
		{"longer", `int f(int x) { ⟦||other(x);⟧ return other(x) + 1; }`, `~f`},
		{"only lines move", `⟦||
#line 1
⟧int f(int x) { WARN_ON(x); return x; }`, ``},
		{"line of a warning", `⟦||

⟧int f(int x) { WARN_ON(x); return x; } int g(int x) { return x; }`, `~f`},
		{"static callee", `static noinline int h(int x) { return other(x) + ⟦1||2⟧; } int f(int x) { return h(x) * 3; }`, `~h`},
		{"inlined callee", `static inline int h(int x) { return other(x) + ⟦1||2⟧; } int f(int x) { return h(x) * 3; } int g(int x) { return h(x); }`, `~f ~g`},
		{"other callee", `int f(int x) { return ⟦other||printk⟧((char *)0 + x); }`, `~f`},
		{"string", `int f(void) { return printk("⟦one||two⟧"); } int g(void) { return printk("three"); }`, `~f`},
		{"string with its tail shared", `int f(void) { return printk(⟦"abc"||"xabc"+1⟧); }`, `~f`},
		{"string indexed from before", `char f(int i) { return "0123456789abcdef"[i - ⟦1||2⟧]; }`, `~f`},
		{"new function", `⟦||static noinline int fresh(int x) { return other(x) * 7; }⟧ int f(int x) { return x⟦|| + fresh(x)⟧; }`, `+fresh ~f`},
		{"new function nobody calls", `⟦||int fresh(int x) { return x; }⟧ int f(int x) { return x; }`, ``},
		{"new functions that call each other", `⟦||
static int two(int); static noinline int one(int x) { return x > 3 ? two(x) + other(1) : 1; }
static noinline int two(int x) { return x < 9 ? one(x) + other(2) : 2; }
⟧int f(int x) { return x⟦|| + one(x)⟧; }`, `+one +two ~f`},
		{"pointer to a changed function", `int f(int x) { return other(x) + ⟦1||2⟧; } int g(void) { return sink(f); } int (*table[])(int) = { f };`, `~f`},
		{"new static datum", `int f(int x) { ⟦||static int hits; hits++; sink(&hits);⟧ return x; }`, `+hits.N ~f`},
		{"new global datum", `⟦||int level = 3;⟧ int f(int x) { return x⟦|| + level⟧; }`, `+level ~f`},
		{"existing static datum", `int f(int x) { static int hits; hits++; sink(&hits); return x + ⟦1||2⟧; }`, `~f`},
		{"changed initial value", `int level = ⟦3||4⟧; int f(void) { return level; }`, `!data`},
		{"grown variable", `int levels[⟦3||4⟧]; int f(int i) { return levels[i]; }`, `!data-size`},
		{"changed table of functions", `int a(int x) { return x; } int b(int x) { return x + 1; } int (*ops[])(int) = { ⟦a||b⟧ };`, `!data`},
		{"changed constant table", `static const int t[] = { 1, ⟦2||3⟧, 4, 9, 11 }; int f(int i) { return t[i]; }`, `!data`},
		{"switch turned into a table", `int f(int x) { switch (x) { case 0: return 17; case 1: return ⟦4||5⟧; case 2: return 99; case 3: return 3; case 4: return 1234; case 5: return 8; } return 0; }`, `~f`},
		{"jump table", `int f(int x) { switch (x) { case 0: return other(1); case 1: return printk("a"); case 2: return sink(0); case 3: return other(4); case 4: return printk("b"); case 5: return other(⟦6||7⟧); } return 0; } int g(int x) { switch (x) { case 0: return other(1); case 1: return printk("a"); case 2: return sink(0); case 3: return other(4); case 4: return printk("c"); case 5: return other(6); } return 0; }`, `~f`},
		{"init function", `init int f(int x) { return other(x) + ⟦1||2⟧; }`, `!init`},
		{"init function that is skipped", `init int f(int x) { return other(x) + ⟦1||2⟧; } ⟦||static void *const skip used section(".hotpatch.skip") = f;⟧`, ``},
		{"notrace function", `notrace int f(int x) { return other(x) + ⟦1||2⟧; }`, `!notrace`},
		{"static notrace function", `static noinline notrace int h(int x) { return other(x) + ⟦1||2⟧; } static noinline notrace int g(int x) { return h(x) * 3; } int f(int x) { return g(x) + h(x); } int e(int x) { return other(x); }`, `+g +h ~f`},
		{"static notrace function that calls itself", `static noinline notrace int h(int x) { return x ? h(x - 1) * 3 + other(⟦1||2⟧) : 1; } int f(int x) { return h(x); }`, `+h ~f`},
		{"static notrace function in a table", `static noinline notrace int h(int x) { return other(x) + ⟦1||2⟧; } int (*const t[])(int) = { h }; int f(int x) { return h(x); }`, `!notrace`},
		{"static notrace function that global notrace calls", `static noinline notrace int h(int x) { return other(x) + ⟦1||2⟧; } notrace int f(int x) { return h(x); }`, `!notrace`},
		{"static notrace function that init code calls, too", `static noinline notrace int h(int x) { return other(x) + ⟦1||2⟧; } init int g(int x) { return h(x); } int f(int x) { return h(x); }`, `+h ~f`},
		{"uses an init function", `init int i(int x) { return other(x); } int f(int x) { return ⟦x||i(x)⟧; }`, `!init ~f`},
		{"extable entry", `u64 f(u64 *p) { return LOAD(p) + ⟦1||2⟧; } u64 g(u64 *p) { return LOAD(p); }`, `~f`},
		{"extable type", `u64 f(u64 *p) { u64 v; asm volatile("1: ldtr %0, [%1]\n2:\n.pushsection __ex_table,\"a\"\n.align 2\n.long 1b - ., 2b - .\n.short ⟦3||4⟧, 0\n.popsection" : "=r"(v) : "r"(p)); return v; }`, `~f`},
		{"jump label key", `struct key a, b; int f(void) { return branch(&⟦a||b⟧) ? other(1) : 2; } int g(void) { return branch(&a) ? other(3) : 2; }`, `~f`},
		{"jump label default", `struct key a; int f(void) { return branch((char *)&a + ⟦0||1⟧) ? other(1) : 2; }`, `~f`},
		{"alternative", `void f(void) { ALT("nop", "⟦wfi||wfe⟧", 3); } void g(void) { ALT("nop", "wfi", 3); }`, `~f`},
		{"alternative's feature", `void f(void) { ALT("nop", "wfi", ⟦3||4⟧); }`, `~f`},
		{"one more warning of a kind", `int f(int x) { WARN_ONCE(x == 1);⟦|| WARN_ONCE(x == 7);⟧ WARN_ONCE(x == 2); return x; } int g(int x) { WARN_ONCE(x == 3); return x; }`, `+__already_done.N ~f`},
		{"static data of one name", `int f(int x) { if (x) { static int n; sink(&n); } else { static int n; n++; sink(&n); } return x + ⟦1||2⟧; }`, `~f`},
		{"one more static datum of a name", `int f(int x) {
if (x) { static int n; sink(&n); }
⟦||#line 4 "new in test.c"
if (x > 4) { static int n; sink(&n); }
#line 3 "test.c"
⟧if (x < 9) { static int n; n++; sink(&n); }
return x; }`, `+n.N ~f`},
		{"section with several functions", `section(".sched.text") noinline int a(int x) { return other(x) + 1; } section(".sched.text") int b(int x) { return a(x) + ⟦3||4⟧; } section(".sched.text") int c(int x) { return a(x) * 5; }`, `~b`},
		{"first of several functions in a section grows", `section(".sched.text") noinline int a(int x) { ⟦||other(1); other(2); other(3);⟧ return other(x) + 1; } section(".sched.text") noinline int b(int x) { return a(x) + 3; } section(".sched.text") int c(int x) { ALT("nop", "wfi", 3); WARN_ON(x == 99); return a(x) * 5 + b(x); }`, `~a`},
		{"cold part", `extern void never(int) __attribute__((cold)); int f(int x) { if (x > 100) { never(x); never(⟦1||2⟧); } return other(x); } int g(int x) { if (x > 100) { never(x); never(3); } return other(x); }`, `~f`},
		{"section group", `asm(".section .text.in,\"axG\",@progbits,sig,comdat\n.popsection"); int plain(int x) { return x + ⟦1||2⟧; }`, `~plain`},
		{"callback", `⟦||struct klp_object; static int before(struct klp_object *o) { return other(3); } static int (*const cb)(struct klp_object *) used section(".hotpatch.pre_patch") = before;⟧ int level = 3;`, `+before`},
		{"copied constant table", `static const int t[] = { 1, ⟦2||3⟧, 4, 9, 11 }; int f(int i) { return t[i]; } ⟦||static const void *const copy used section(".hotpatch.copy") = t;⟧`, `+t ~f`},
		{"new initcall", `⟦||static int start(void) { return 0; } static int (*ic)(void) used section(".initcall6.init") = start;⟧ int f(int x) { return x; }`, `!registry`},
		{"runtime constant", `int f(int x) { int v; asm("1: movz %w0, #0\n.pushsection runtime_shift_x,\"a\"\n.long 1b - .\n.popsection" : "=r"(v)); return v + x + ⟦1||2⟧; }`, `!table ~f`},
		{"removed function", `⟦int gone(int x) { return x; }||⟧ int f(int x) { return x; }`, ``},
		{"printk index", `struct pi { const char *fmt, *func, *file; };
int f(int x) { static const struct pi _entry used = { "⟦a||b⟧", __func__, "f.c" }; static const struct pi *_entry_ptr used section(".printk_index") = &_entry; return printk("⟦a||b⟧"); }
int g(int x) { static const struct pi _entry used = { "c", __func__, "f.c" }; static const struct pi *_entry_ptr used section(".printk_index") = &_entry; return printk("c"); }`, `~f`},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Each in one layout, all in turn: TestRandomPairs does all of them.
			for _, l := range cctest.Layouts[i%len(cctest.Layouts):][:1] {
				if got := summary(compare(t, tt.src, l)); got != tt.want {
					t.Errorf("%s: got %q, want %q", l.Name, got, tt.want)
				}
			}
		})
	}
}

func TestReasons(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"instruction", "int f(int x) {\n\tother(x);\n\tother(⟦1||2⟧);\n\treturn 4;\n}", "instruction test.c:3 #0x1 #0x2"},
		{"reference", "int f(int x) {\n\tother(1);\n\t⟦sink||printk⟧((void *)2);\n\treturn 4;\n}", "reference test.c:3 bl → sink / bl → printk"},
		{"string", "int f(int x) {\n\n\treturn printk(\"⟦one||two⟧\");\n}", `reference test.c:3 "one" / "two"`},
		{"new", "⟦||static noinline int n(int x) { return other(x); }⟧\nint f(int x) { return x ⟦|| + n(x)⟧; }", "new by f"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := compare(t, tt.src, cctest.Layouts[2])
			e := append(res.Report().New, res.Report().Changed...)[0]
			got := fmt.Sprintf("%s %s:%d %s / %s by %s", e.Reason.Why, e.Reason.File, e.Reason.Line, e.Reason.Before, e.Reason.After, e.Reason.By)
			for _, w := range strings.Split(tt.want, " ") {
				if !strings.Contains(got, w) {
					t.Errorf("got %q, which lacks %q", got, w)
				}
			}
		})
	}
}

func TestLayoutWarning(t *testing.T) {
	res := compare(t, `struct box { int a; ⟦||long b;⟧ char c; }; union same { int x; }; static noinline int use(struct box *b, union same *s) { return other(b->c + s->x); } int f(struct box *p, union same *s) { return use(p, s) + p->a; }`, cctest.Layouts[0])
	if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "struct box changes: member b is where c was (used by f, use)") {
		t.Errorf("warned of %q", res.Warnings)
	}
}
