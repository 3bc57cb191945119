package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"cloudkernel/tools/internal/proc"
)

// errMissing says that a probe looked and found nothing.
var errMissing = errors.New("not found")

// probe proves that a need is met. It returns the version it found ("" when
// the thing has none), errMissing when it is not there, and another error when
// it is there and does not work.
type probe interface {
	look(ctx context.Context, name string) (version string, err error)
}

// program is met by a program of the need's name in PATH that tells its version.
type program struct {
	args    string // what makes it tell its version; "" is --version
	version string // regular expression whose group is the version; "" finds 1.2 and 1.2.3
}

// versionPattern wants a dot, so that "aarch64-linux-gnu-gcc" holds no version,
// and takes no distribution's suffix.
const versionPattern = `(?:^|[^\w.-]|\bv|\bgo)(\d+(?:\.\d+)+)`

func (p program) look(ctx context.Context, name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err != nil { // where users do not look, but some programs are
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	if err != nil {
		return "", errMissing
	}
	args := p.args
	if args == "" {
		args = "--version"
	}
	out, err := output(ctx, "", path, strings.Fields(args)...)
	if err != nil {
		return "", err
	}
	pattern := p.version
	if pattern == "" {
		pattern = versionPattern
	}
	m := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s %s names no version", name, args)
	}
	return m[1], nil
}

// header is met when a C file that includes the need's name compiles.
type header struct{}

func (header) look(ctx context.Context, name string) (string, error) {
	return "", compiles(ctx, "gcc", "#include <"+name+">\n", "-fsyntax-only")
}

// staticLibc is met when the compiler links a static program.
type staticLibc struct{ compiler string }

func (p staticLibc) look(ctx context.Context, _ string) (string, error) {
	return "", compiles(ctx, p.compiler, "int main(void) { return 0; }\n", "-static", "-o", "/dev/null")
}

// compiles returns nil when the compiler takes the source. Nothing it refuses
// is told apart from a thing that is missing: installing it is the right answer
// to both. A missing compiler is a need of its own, with its own finding.
func compiles(ctx context.Context, compiler, source string, args ...string) error {
	if _, err := exec.LookPath(compiler); err != nil {
		return errMissing
	}
	_, err := output(ctx, source, compiler, append(args, "-x", "c", "-")...)
	if err != nil && ctx.Err() == nil {
		return errMissing
	}
	return err
}

// output runs a program and returns all it says.
func output(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := proc.Command(ctx, name, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(stdin)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		line, _, _ := strings.Cut(strings.TrimSpace(b.String()), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, line)
	}
	return b.String(), nil
}

// older reports whether version a is before b, comparing number by number:
// "1.9" is before "1.10". What is not a number counts as 0.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		x, y := number(as, i), number(bs, i)
		if x != y {
			return x < y
		}
	}
	return false
}

func number(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i])
	return n
}
