package diff_test

import (
	"strings"
	"testing"

	"cloudkernel/kpatch-arm64/internal/cctest"
)

// Whoever is refused is told what to do instead.
func TestRemedies(t *testing.T) {
	for _, tt := range []struct{ name, src, rule, remedy string }{
		{"init function", `init int f(int x) { return other(x) + ⟦1||2⟧; }`, "init", "HOTPATCH_SKIP(f)"},
		{"init function that is called", `init int i(int x) { return other(x); } int f(int x) { return ⟦x||i(x)⟧; }`, "init", "do not call it from code that runs later"},
		{"init data", `section(".init.data") int v = ⟦1||2⟧; init int f(void) { return v; }`, "init", "HOTPATCH_SKIP(v)"},
		{"exit function", `section(".exit.text") int f(int x) { return other(x) + ⟦1||2⟧; }`, "init", "reload the module instead"},
		{"notrace", `notrace int f(int x) { return other(x) + ⟦1||2⟧; }`, "notrace", "change its callers instead: give them a new function to call"},
		{"noinstr", `section(".noinstr.text") notrace int f(int x) { return other(x) + ⟦1||2⟧; }`, "notrace", "change its callers instead"},
		{"EL2 code", `section(".hyp.text") int f(int x) { return other(x) + ⟦1||2⟧; }`, "early", "reboot into a kernel that has the change"},
		{"initial value", `int level = ⟦3||4⟧; int f(void) { return level; }`, "data", "HOTPATCH_PRE_PATCH"},
		{"size", `int v[⟦3||4⟧]; int f(int i) { return v[i]; }`, "data-size", "HOTPATCH_SHADOW"},
		{"new initcall", `⟦||static int start(void) { return 0; } static int (*ic)(void) used section(".initcall6.init") = start;⟧ int f(int x) { return x; }`, "registry", "HOTPATCH_POST_PATCH"},
		{"table of code", `int f(int x) { int v; asm("1: movz %w0, #0\n.pushsection runtime_shift_x,\"a\"\n.long 1b - .\n.popsection" : "=r"(v)); return v + x + ⟦1||2⟧; }`, "table", "change a caller of this function instead"},
		{"section group", `section(".text.g,\"axG\",@progbits,sig,comdat//") int f(int x) { return other(x) + ⟦1||2⟧; }`, "group", "not in a group"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := compare(t, tt.src, cctest.Layouts[0])
			for _, r := range res.Refusals {
				if r.Rule == tt.rule {
					if text := r.Error(); !strings.Contains(text, tt.remedy) || !strings.Contains(text, r.Name) {
						t.Errorf("says %q, which lacks %q", text, tt.remedy)
					}
					return
				}
			}
			t.Errorf("refused with %v, not with the rule %s", res.Refusals, tt.rule)
		})
	}
}
