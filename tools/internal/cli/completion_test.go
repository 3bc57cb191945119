package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// completions returns what the shell would be offered for a command line whose
// last word is being typed.
func completions(t *testing.T, words ...string) []string {
	t.Helper()
	code, out, errs := kernlab(t, append([]string{"__complete"}, words...)...)
	if code != 0 {
		t.Fatalf("%q: exit %d: %s", words, code, errs)
	}
	var list []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if word, _, _ := strings.Cut(line, "\t"); !strings.HasPrefix(word, ":") {
			list = append(list, word)
		}
	}
	return list
}

// testRepo is a small repository to complete in.
func testRepo(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, file := range []string{
		"kernel-patches/series", "kernel-patches/base", "kernel-patches/configs/common.config", "kernel-patches/configs/debug.config",
		"qemu-tests/smoke/boot.yaml", "qemu-tests/smoke/panic.yaml", "qemu-tests/smoke/notes.txt",
		"qemu-tests/vmf/fair.yaml", "qemu-tests/README.md", "qemu-tests/empty/x.txt",
	} {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCompletion(t *testing.T) {
	t.Chdir(testRepo(t))
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{[]string{"doc"}, "doctor"},
		{[]string{"build", "--arch", ""}, "arm64 x86_64 all"},
		{[]string{"boot", "--arch", ""}, "arm64 x86_64"},
		{[]string{"build", "--profile", ""}, "default debug"},
		{[]string{"completion", ""}, "bash zsh fish"},
		{[]string{"ge"}, ""}, // hidden
	} {
		if got := strings.Join(completions(t, tt.words...), " "); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.words, got, tt.want)
		}
	}
}

func TestCompleteCases(t *testing.T) {
	a := &app{root: testRepo(t)}
	for _, tt := range []struct {
		typed string
		args  []string
		want  string
	}{
		{"", nil, "smoke smoke/boot smoke/panic vmf vmf/fair"},
		{"smoke/", []string{"smoke/boot"}, "smoke/panic"},
		{"nothing", nil, ""},
	} {
		got, _ := a.completeCases()(nil, tt.args, tt.typed)
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q: %q, want %q", tt.typed, got, tt.want)
		}
	}
}

// TestCompletionOutside: outside of a repository the shell is told why there
// is nothing, and nothing fails.
func TestCompletionOutside(t *testing.T) {
	t.Chdir(t.TempDir())
	got := strings.Join(completions(t, "build", "--without", ""), "\n")
	if !strings.Contains(got, "no cloudkernel repository") || !strings.HasPrefix(got, "_activeHelp_") {
		t.Errorf("offered %q", got)
	}
}

func TestCompletionScripts(t *testing.T) {
	t.Chdir(t.TempDir())
	for shell, want := range map[string]string{"bash": "complete -o default", "zsh": "#compdef kernlab", "fish": "complete -c kernlab"} {
		code, out, _ := kernlab(t, "completion", shell)
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d, no %q in the script", shell, code, want)
		}
	}
	if code, _, errs := kernlab(t, "completion", "csh"); code != 2 || !strings.Contains(errs, "csh") {
		t.Errorf("csh: exit %d, %q", code, errs)
	}
}
