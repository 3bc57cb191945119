package hotsample

import (
	"strings"
	"testing"
)

func TestCounts(t *testing.T) {
	items := []*Item{
		{File: "a.c", Outcome: Loaded}, {File: "b.c", Outcome: Failed, Why: "the kernel complained"},
		{File: "c.c", Outcome: Refused, Rules: []string{"notrace"}}, {File: "d.c", Outcome: Refused, Rules: []string{"notrace", "init"}},
		{File: "e.c", Outcome: Nothing}, {File: "f.c", Outcome: Alone, Why: "a | b"}, {File: "g.c", Outcome: Broken},
	}
	c := Count(items)
	if c.Items != 7 || c.Patchable != 4 || c.Loaded != 1 {
		t.Errorf("%+v", c)
	}
	var b strings.Builder
	if err := Markdown(&b, "title", items); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"7 changed files: 1 loaded, 1 FAILED, 2 refused, 1 alone, 1 nothing, 1 BROKEN.", "Of the 4 that", "1 (25 %)", `a \| b`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &b)
		}
	}
}

func TestModuleName(t *testing.T) {
	for file, want := range map[string]string{
		"kernel/signal.c":                           "s_kernel_signal",
		"arch/arm64/kvm/vgic/a-b.c":                 "s_arch_arm64_kvm_vgic_a_b",
		"drivers/" + strings.Repeat("x", 80) + ".c": "s_drivers_" + strings.Repeat("x", 45),
	} {
		if got := moduleName(file); got != want || len(got) > 55 {
			t.Errorf("%s: %s", file, got)
		}
	}
}
