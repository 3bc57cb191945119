package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/golden"
)

// bin makes a directory of shell scripts the whole PATH. A script may use
// nothing but the shell.
func bin(t *testing.T, scripts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return dir
}

func TestOlder(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"1.9", "1.10", true},
		{"1.10", "1.9", false},
		{"7.2.22", "7.2", false},
		{"7.2", "7.2.1", true},
		{"7.2", "7.2.0", false},
		{"2.5.35", "2.5.35", false},
		{"30", "13", false},
		{"", "1", true},
	} {
		if got := older(tt.a, tt.b); got != tt.want {
			t.Errorf("older(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}

// TestVersions reads what the real programs say of themselves.
func TestVersions(t *testing.T) {
	says := map[string]struct{ text, want string }{
		"go":                    {"go version go1.26.8 linux/amd64", "1.26.8"},
		"gcc":                   {"gcc (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"},
		"make":                  {"GNU Make 4.3", "4.3"},
		"flex":                  {"flex 2.6.4", "2.6.4"},
		"bison":                 {"bison (GNU Bison) 3.8.2", "3.8.2"},
		"bc":                    {"bc 1.07.1", "1.07.1"},
		"perl":                  {"\nThis is perl 5, version 36, subversion 0 (v5.36.0) built for x86_64-linux-gnu-thread-multi", "5.36.0"},
		"xz":                    {"xz (XZ Utils) 5.4.1", "5.4.1"},
		"kmod":                  {"kmod version 30", "30"},
		"dpkg-deb":              {"Debian 'dpkg-deb' package archive backend version 1.21.22 (amd64).", "1.21.22"},
		"apt-get":               {"apt 2.6.1 (amd64)", "2.6.1"},
		"qemu-system-aarch64":   {"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "7.2.22"},
		"mke2fs":                {"mke2fs 1.47.0 (5-Feb-2023)", "1.47.0"},
		"sparse":                {"0.6.4 (Debian: 0.6.4-3)", "0.6.4"},
		"pahole":                {"v1.24", "1.24"},
		"gdb-multiarch":         {"GNU gdb (Debian 13.1-3) 13.1", "13.1"},
		"aarch64-linux-gnu-gcc": {"aarch64-linux-gnu-gcc (Debian 12.2.0-14) 12.2.0", "12.2.0"},
	}
	scripts := map[string]string{}
	for name, s := range says {
		scripts[name] = fmt.Sprintf("echo %q", s.text)
	}
	bin(t, scripts)
	seen := 0
	for _, n := range needs("amd64") {
		s, ok := says[n.name]
		if !ok {
			continue
		}
		seen++
		got, err := n.probe.look(t.Context(), n.name)
		// "(Debian 12.2.0" is as good as the version that follows it.
		if err != nil || !strings.HasPrefix(s.want, got) || got == "" {
			t.Errorf("%s: version %q, %v, want %q", n.name, got, err, s.want)
		}
	}
	if seen != len(says) {
		t.Errorf("%d of %d programs are in the table of needs", seen, len(says))
	}
}

func TestFind(t *testing.T) {
	bin(t, map[string]string{
		"old":     "echo old 1.2.3",
		"silent":  "true",
		"dying":   "echo cannot open shared object >&2; exit 127",
		"gcc":     "exit 1",
		"apt-get": "true",
	})
	geteuid = func() int { return 0 }
	t.Cleanup(func() { geteuid = os.Geteuid })
	tests := []struct {
		need  need
		state State
		found string
		fix   string
	}{
		{need{name: "old", probe: program{}, min: "1.2"}, OK, "1.2.3", ""},
		{need{name: "old", probe: program{}, min: "1.3", packages: []string{"p"}}, Old, "1.2.3", "upgrade to a newer Debian, or put a newer old first in PATH"},
		{need{name: "silent", probe: program{}, fix: "look"}, Broken, "silent --version names no version", "look"},
		{need{name: "dying", probe: program{}, packages: []string{"p"}}, Broken, "dying --version: exit status 127: cannot open shared object", "apt-get install -y --no-install-recommends p"},
		{need{name: "nowhere", probe: program{}, packages: []string{"p", "q"}}, Missing, "", "apt-get install -y --no-install-recommends p q"},
		{need{name: "gelf.h", probe: header{}, packages: []string{"libelf-dev"}}, Missing, "", "apt-get install -y --no-install-recommends libelf-dev"},
		{need{name: "libc", probe: staticLibc{"nowhere-gcc"}, fix: "f"}, Missing, "", "f"},
	}
	for _, tt := range tests {
		f := tt.need.find(t.Context())
		if f.State != tt.state || f.Found != tt.found || f.Fix != tt.fix {
			t.Errorf("%s: state %s, found %q, fix %q; want %s, %q, %q", tt.need.name, f.State, f.Found, f.Fix, tt.state, tt.found, tt.fix)
		}
	}

	bin(t, nil) // not Debian
	f := need{name: "bc", probe: program{}, packages: []string{"bc"}}.find(t.Context())
	if want := "install bc by your distribution's means (Debian's package: bc)"; f.Fix != want {
		t.Errorf("without apt: fix %q, want %q", f.Fix, want)
	}
}

// TestCompilerProbes uses the real compiler where there is one.
func TestCompilerProbes(t *testing.T) {
	if _, err := output(t.Context(), "", "gcc", "--version"); err != nil {
		t.Skip("no gcc here")
	}
	if _, err := (header{}).look(t.Context(), "stdio.h"); err != nil {
		t.Errorf("stdio.h: %v", err)
	}
	if _, err := (header{}).look(t.Context(), "no/such.h"); !errors.Is(err, errMissing) {
		t.Errorf("no/such.h: %v, want %v", err, errMissing)
	}
}

// TestCheck looks at a machine that has git and nothing else.
func TestCheck(t *testing.T) {
	bin(t, map[string]string{"git": "echo git version 2.39.5"})
	probe := func(_ context.Context, a *arch.Arch) (name, line string, err error) { return "TCG", "emulates", nil }
	r, err := Check(t.Context(), Options{
		Uses:        []Use{BootARM64, Packages},
		CacheDir:    filepath.Join(t.TempDir(), "new"),
		Accelerator: probe,
	})
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]State{}
	for _, f := range r.Findings {
		state[f.Name] = f.State
		if f.State == Missing && f.Fix == "" {
			t.Errorf("%s is missing and nothing says what to do", f.Name)
		}
	}
	for name, want := range map[string]State{
		"git": OK, "go": Missing, "qemu-system-aarch64": Missing, "dpkg-deb": Missing,
		"accelerator arm64": OK, "file locks": OK,
	} {
		if state[name] != want {
			t.Errorf("%s: %q, want %q", name, state[name], want)
		}
	}
	for _, name := range []string{"gcc", "qemu-system-x86_64", "accelerator x86_64", "sparse", "package archive"} {
		if s, ok := state[name]; ok {
			t.Errorf("%s: %s, and no use that was asked for needs it", name, s)
		}
	}
	if r.OK() {
		t.Error("a machine without QEMU is said to boot guests")
	}
	// mke2fs may be in /sbin, which no PATH hides.
	r.Install = slices.DeleteFunc(r.Install, func(p string) bool { return p == "e2fsprogs" })
	if want := []string{"dpkg", "ipxe-qemu", "qemu-system-arm"}; !slices.Equal(r.Install, want) {
		t.Errorf("to install: %q, want %q", r.Install, want)
	}
}

func TestText(t *testing.T) {
	findings := []Finding{
		{Name: "go", Group: Tool, State: OK, Found: "1.26.8", Uses: anything, Why: "builds kernlab"},
		{Name: "flex", Group: Tool, State: Missing, Want: "2.5.35", Uses: build, Why: "Kconfig", Packages: []string{"flex"}},
		{Name: "qemu-system-x86_64", Group: Tool, State: Old, Found: "5.2.0", Want: "7.2", Uses: []Use{BootX86}, Why: "runs x86_64 guests",
			Packages: []string{"qemu-system-x86"}, Fix: "upgrade to a newer Debian, or put a newer qemu-system-x86_64 first in PATH"},
		{Name: "ccache", Group: Tool, State: Missing, Uses: build, Optional: true, Why: "fast rebuilds", Packages: []string{"ccache"}},
		{Name: "gelf.h", Group: Library, State: OK, Uses: build, Why: "objtool"},
		judgeDisk(Finding{Name: "disk", Group: Machine, Want: size(diskNeed), Uses: anything, Why: "builds"}, 3*gib, 2*gib),
		{Name: "memory", Group: Machine, State: OK, Found: "23.6 GiB", Uses: anything, Optional: true, Why: "guests side by side"},
	}
	r := conclude(findings, []Use{BuildARM64, BootX86})
	bin(t, map[string]string{"apt-get": "true"})
	geteuid = func() int { return 1000 }
	t.Cleanup(func() { geteuid = os.Geteuid })
	var b strings.Builder
	if err := r.Text(&b, false); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/report.txt", b.String())
	b.Reset()
	if err := r.Text(&b, true); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/quiet.txt", b.String())
	b.Reset()
	if err := conclude(findings[:1], []Use{BootX86}).Text(&b, true); err != nil || b.Len() != 0 {
		t.Errorf("all is well, and quiet says %q, %v", b.String(), err)
	}
}

func TestParseUses(t *testing.T) {
	got, err := ParseUses([]string{"boot-arm64", "develop", "boot-arm64"})
	if err != nil || !slices.Equal(got, []Use{BootARM64, Develop}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := ParseUses([]string{"arm64"}); err != nil || !slices.Equal(got, []Use{BuildARM64, BootARM64, Packages}) {
		t.Errorf("an architecture: %v, %v", got, err)
	}
	if got, _ := ParseUses([]string{"all"}); len(got) != len(uses) {
		t.Errorf("all: %v", got)
	}
	if _, err := ParseUses([]string{"boot"}); err == nil || !strings.Contains(err.Error(), "boot-arm64") {
		t.Errorf("an unknown use: %v, want an error that names the known ones", err)
	}
	if slices.Contains(DefaultUses(), Develop) {
		t.Error("writing patches is among the default uses")
	}
}
