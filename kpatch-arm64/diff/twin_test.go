package diff_test

import (
	"strings"
	"testing"

	"cloudkernel/kpatch-arm64/arm64"
	"cloudkernel/kpatch-arm64/diff"
	"cloudkernel/kpatch-arm64/internal/cctest"
	"cloudkernel/kpatch-arm64/internal/cgen"
	"cloudkernel/kpatch-arm64/object"
)

// Twin stands between a change and an inlined copy of what it changes.
func TestTwin(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"the same", `static noinline int h(int x) { return other(x); } int f(int x) { return h(x) + 1; }`, ""},
		{"calls of others are merged", `int f(int x) { if (x) other(1); else ⟦other(1)||printk("x")⟧; printk("x"); return 0; }`, ""},
		{"one call of its own is inlined", `static noipa int h(int x) { return other(x); } int f(int x) { return h(x) + ⟦h(x + 1)||other(x + 1)⟧; }`, "f is not the same"},
		{"another function is called", `int f(int x) { return ⟦other(x)||sink(0)⟧; }`, "f is not the same"},
		{"a function is missing", `⟦int g(int x) { return x; }||⟧ int f(int x) { return x; }`, "defines g"},
		{"a variable is larger", `int v[⟦3||4⟧]; int *f(void) { return v; }`, "v is not the same"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, after := cgen.Pair(tt.src)
			built, err := object.Read(cctest.Built(t, "x.c", before, cctest.Layouts[0]), arm64.Arch)
			if err != nil {
				t.Fatal(err)
			}
			compared, err := object.Read(cctest.Precise(t, "x.c", after, cctest.Layouts[0]), arm64.Arch)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := diff.Twin(built, compared); err != nil {
				got = err.Error()
			}
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
