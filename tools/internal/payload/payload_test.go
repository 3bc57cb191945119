package payload

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/store"
)

func TestParseList(t *testing.T) {
	got, err := parseList(strings.NewReader("timers:nanosleep\n\nnet/mptcp:mptcp_join.sh\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Selftest{
		{Target: "timers", Name: "nanosleep", Timeout: selftestTimeout},
		{Target: "net/mptcp", Name: "mptcp_join.sh", Timeout: selftestTimeout},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := parseList(strings.NewReader("no colon\n")); err == nil {
		t.Error("a line without a colon is taken")
	}
}

func TestParseSettings(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": selftestTimeout, "# timeout=3\n": selftestTimeout, "timeout=150\n": 150 * time.Second,
		"x=1\ntimeout=0\n": time.Hour, "timeout=99999": time.Hour,
	} {
		if got := parseSettings(text); got != want {
			t.Errorf("parseSettings(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestNeedKernel(t *testing.T) {
	source := t.TempDir()
	for target, makefile := range map[string]string{
		"plain":   "TEST_GEN_PROGS := a b\ninclude ../lib.mk\n",
		"modules": "TEST_GEN_MODS_DIR := test_modules\n",
		"image":   "VMLINUX_BTF ?= ../vmlinux\n",
	} {
		dir := filepath.Join(source, "tools", "testing", "selftests", target)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte(makefile), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		targets []string
		want    bool
	}{
		{[]string{"plain"}, false}, {[]string{"plain", "modules"}, true}, {[]string{"image"}, true},
	} {
		got, err := needKernel(source, test.targets)
		if err != nil || got != test.want {
			t.Errorf("needKernel(%q) = %t, %v; want %t", test.targets, got, err, test.want)
		}
	}
	if _, err := needKernel(source, []string{"plain", "absent"}); err == nil || !strings.Contains(err.Error(), "selftests/absent") {
		t.Errorf("a target that is not there: %v", err)
	}
}

func TestListTests(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		listFile: "a:there\na:gone\n", "a/there": "", "a/settings": "timeout=7\n", logFile: "gone.c:1: error: no\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := listTests(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []Selftest{{"a", "there", 7 * time.Second, false}, {"a", "gone", 7 * time.Second, true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if log := (&Selftests{Dir: dir}).Log(); log != "gone.c:1: error: no" {
		t.Errorf("log %q", log)
	}
}

// native is the architecture tests can compile and run for.
func native(t *testing.T) *arch.Arch {
	t.Helper()
	for _, tool := range []string{"gcc", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s: %v", tool, err)
		}
	}
	for _, a := range arch.All {
		if a.Cross(runtime.GOARCH) == "" {
			return a
		}
	}
	t.Skip("guests have other architectures")
	return nil
}

func TestPrograms(t *testing.T) {
	a := native(t)
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	m := &Maker{Store: store.Open(t.TempDir()), Root: root}
	for source, want := range map[string]string{
		"qemu-tests/lab/machine.c": a.Triplet[:strings.IndexByte(a.Triplet, '-')],
		"qemu-tests/lab/where":     "linux/" + a.GOARCH,
	} {
		path, release, err := m.Program(context.Background(), a, filepath.Join(root, source))
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		out, err := exec.Command(path).Output()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s says %q, %v; want %s", source, out, err, want)
		}
		if Name(source) != filepath.Base(path) {
			t.Errorf("%s is called %s", source, filepath.Base(path))
		}
	}
}

func TestProgramThatDoesNotCompile(t *testing.T) {
	a := native(t)
	source := filepath.Join(t.TempDir(), "bad.c")
	if err := os.WriteFile(source, []byte("int main(void)\n{\n\treturn nothing;\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	st := store.Open(t.TempDir())
	_, _, err := (&Maker{Store: st}).Program(context.Background(), a, source)
	if err == nil || !strings.Contains(err.Error(), "bad.c:3:") {
		t.Errorf("the error does not name the line: %v", err)
	}
	if list, _ := st.List(); len(list) > 0 {
		t.Errorf("a program that did not compile is kept: %v", list)
	}
}

func TestTail(t *testing.T) {
	got := tail("CC a\nCC b\nb.c:3: error: no\nmore\n")
	if got != "b.c:3: error: no\nmore" {
		t.Errorf("got %q", got)
	}
}
