// Package cctest compiles small C sources for tests with the arm64 cross
// compiler, the way kbuild would: freestanding, -O2, one section per function
// and datum. A test on a machine without the compiler is skipped.
package cctest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudkernel/kpatch-arm64/object"
)

// Layout is one of the ways a kernel may want its functions to begin: where
// the patch site lies relative to the symbol.
type Layout struct {
	Name  string
	Flags []string
	// Site is the offset of the patch site from the function's symbol, in
	// bytes; Pad is how many bytes belong to the function before its symbol.
	Site, Pad int64
}

// Layouts are the four that arm64 kernels come in: with and without CALL_OPS
// (two of the four nops lie before the symbol) and with and without BTI (a
// landing pad comes first).
var Layouts = []Layout{
	{"plain", []string{"-fpatchable-function-entry=2", "-mbranch-protection=pac-ret"}, 0, 0},
	{"bti", []string{"-fpatchable-function-entry=2", "-mbranch-protection=pac-ret+bti"}, 4, 0},
	{"callops", []string{"-fpatchable-function-entry=4,2", "-falign-functions=8", "-mbranch-protection=pac-ret"}, -8, 8},
	{"callops-bti", []string{"-fpatchable-function-entry=4,2", "-falign-functions=8", "-mbranch-protection=pac-ret+bti"}, -8, 8},
}

// Flags are what kbuild gives arm64 objects, as far as code generation goes.
var Flags = []string{
	"-nostdinc", "-std=gnu11", "-mlittle-endian", "-mgeneral-regs-only", "-mabi=lp64", "-O2", "-g", "-gdwarf-5",
	"-ffunction-sections", "-fdata-sections", "-fno-section-anchors",
	"-fshort-wchar", "-funsigned-char", "-fno-common", "-fno-PIE", "-fno-strict-aliasing",
	"-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-delete-null-pointer-checks",
	"-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-fno-strict-overflow", "-fconserve-stack", "-w",
}

const prefix = "aarch64-linux-gnu-"

// Need skips the test when the cross compiler is not there.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath(prefix + "gcc"); err != nil {
		t.Skip("no " + prefix + "gcc on this machine: install gcc-aarch64-linux-gnu")
	}
}

// Precise compiles a C source the way hotpatch build does: by way of assembly,
// in which local names are made to survive. It returns the object's content.
func Precise(t testing.TB, name, src string, l Layout, extra ...string) []byte {
	t.Helper()
	asm := compile(t, name, src, "out.s", append(append(append([]string{}, Flags...), l.Flags...), append(extra, "-S")...))
	var flags []string
	for _, f := range Flags {
		if !strings.HasPrefix(f, "-g") {
			flags = append(flags, f)
		}
	}
	return compile(t, "out.s", string(object.Globalize(asm)), "out.o", append(flags, "-c"))
}

// Built compiles a C source the way a kernel is built: functions and data share
// sections.
func Built(t testing.TB, name, src string, l Layout) []byte {
	t.Helper()
	var flags []string
	for _, f := range Flags {
		switch f {
		case "-ffunction-sections", "-fdata-sections", "-fno-section-anchors":
		default:
			flags = append(flags, f)
		}
	}
	return compile(t, name, src, "out.o", append(append(flags, l.Flags...), "-c"))
}

// Compile compiles a C source and returns the object's content. The name
// stands for the file in __FILE__ and debug information.
func Compile(t testing.TB, name, src string, l Layout, extra ...string) []byte {
	t.Helper()
	return compile(t, name, src, "out.o", append(append(append([]string{}, Flags...), l.Flags...), append(extra, "-c")...))
}

func compile(t testing.TB, name, src, out string, args []string) []byte {
	t.Helper()
	Need(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	Run(t, dir, prefix+"gcc", append(args, "-o", out, name)...)
	data, err := os.ReadFile(filepath.Join(dir, out))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Link links objects into one relocatable file, or a whole one when flags do
// not say -r, and returns its content.
func Link(t testing.TB, objs [][]byte, flags ...string) []byte {
	t.Helper()
	Need(t)
	dir := t.TempDir()
	args := append([]string{}, flags...)
	for i, o := range objs {
		p := filepath.Join(dir, string(rune('a'+i))+".o")
		if err := os.WriteFile(p, o, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, p)
	}
	Run(t, dir, prefix+"ld", append(args, "-o", "out")...)
	data, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Run runs a program in dir and returns its output; the test ends if it fails.
func Run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// File writes a file that lives as long as the test, and returns its path.
func File(t testing.TB, name, content string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}
