package checkpatch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/diag"
)

func TestParse(t *testing.T) {
	const out = `/abs/x.patch:3: CHECK:SPACING: spaces preferred around that '*' (ctx:ExV)
/abs/x.patch:12: ERROR:TRAILING_WHITESPACE: trailing whitespace
/abs/x.patch:20: CHECK:SPACING: spaces preferred around that '+' (ctx:VxV)
perl: something unforeseen

`
	want := diag.List{
		{File: "x.patch", Line: 12, Msg: "checkpatch: ERROR:TRAILING_WHITESPACE: trailing whitespace"},
		{File: "x.patch", Line: 20, Msg: "checkpatch: CHECK:SPACING: spaces preferred around that '+' (ctx:VxV)"},
		{File: "x.patch", Msg: "checkpatch: perl: something unforeseen"},
	}
	// The first finding is of a linker script, where it is none.
	patch := append(strings.Split("--- a/vmlinux.lds.h\n+++ b/vmlinux.lds.h\n+*(__x)\n--- a/x.c\n+++ b/x.c", "\n"), make([]string, 20)...)
	if diff := cmp.Diff(want, parse("/abs/x.patch", "x.patch", out, patch)); diff != "" {
		t.Error(diff)
	}
}

// TestRun runs scripts in the place of checkpatch that pass, find, and break.
func TestRun(t *testing.T) {
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skip("no perl on this machine")
	}
	for _, c := range []struct{ name, script, want, err string }{
		{"clean", "exit 0;", "", ""},
		{"writes where it runs", `open(F, ">.checkpatch-camelcase") or die; exit 0;`, "", ""},
		{"finds", `print "$ARGV[-1]:3: WARNING:X: y\n"; exit 1;`, "checkpatch: WARNING:X: y", ""},
		{"breaks", `print STDERR "Must be run from the top-level dir\n"; exit 2;`, "", "Must be run from the top-level dir"},
		{"breaks without a word", "exit 1;", "", "exit status 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "scripts", "checkpatch.pl"), []byte(c.script), 0o644); err != nil {
				t.Fatal(err)
			}
			done := 0
			list, err := Run(t.Context(), dir, []string{"a.patch"}, func() { done++ })
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v", err)
				}
				return
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".check*")); len(left) > 0 {
				t.Errorf("it wrote into the base: %v", left)
			}
			if err != nil || done != 1 {
				t.Fatalf("%v after %d files", err, done)
			}
			switch {
			case c.want == "" && len(list) > 0, c.want != "" && (len(list) != 1 || list[0].Msg != c.want || list[0].Line != 3 || list[0].File != "a.patch"):
				t.Errorf("found %v", list)
			}
		})
	}
	if _, err := Run(t.Context(), t.TempDir(), nil, nil); err == nil || !strings.Contains(err.Error(), "no checkpatch") {
		t.Errorf("no script: %v", err)
	}
}
