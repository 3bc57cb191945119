package kernel

import (
	"testing"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/base"
	"cloudkernel/tools/internal/series"
)

func TestKeyHoldsWhatAKernelIsMadeFrom(t *testing.T) {
	key := func(p *plan) string { return p.hash(inKernel) }
	with := func(name, text string) *plan {
		return &plan{
			req: Request{Arch: arch.ARM64}, base: &base.Source{Digest: "base"}, tc: &toolchain{versions: []string{"gcc 12"}},
			applied: &series.Applied{Files: map[string]series.File{name: {Data: []byte(text), Mode: 0o644}}},
		}
	}
	for name, matters := range map[string]bool{
		"kernel/sched/vmf.c":                   true,
		"include/uapi/linux/sched.h":           true,
		"scripts/Makefile.lib":                 true,
		"tools/include/linux/types.h":          true,
		"Documentation/Kconfig":                true,
		"Documentation/scheduler/sched.rst":    false,
		"tools/testing/selftests/vmf/policy.c": false,
	} {
		a, b := with(name, "a"), with(name, "b")
		if got := key(a) != key(b); got != matters {
			t.Errorf("an edit of %s changes the key: %v, want %v", name, got, matters)
		}
		every := func(string) bool { return true }
		if a.hash(every) == b.hash(every) {
			t.Errorf("an edit of %s does not change what names the source", name)
		}
	}
	a, b := with("a", "1"), with("a", "1")
	if b.tc.versions[0] = "gcc 13"; key(a) == key(b) {
		t.Error("another compiler, the same key")
	}
}
