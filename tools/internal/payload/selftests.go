package payload

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/outcome"
)

// Selftests are targets of the kernel's tools/testing/selftests, built and
// installed as kselftest does.
type Selftests struct {
	Dir   string // holds a directory a target
	Tests []Selftest
}

// Selftest is one test program or script.
type Selftest struct {
	Target, Name string
	Timeout      time.Duration // kselftest's own, or what the target's settings say
	Missing      bool          // it did not compile; Selftests.Log says why
}

// selftestTimeout is kselftest_default_timeout of kselftest/runner.sh.
const selftestTimeout = 45 * time.Second

// Selftests builds targets from the source tree of a request's kernel, which
// [kernel.Kernel.Source] names. Programs are linked statically; modules are built for the
// kernel.
func (m *Maker) Selftests(ctx context.Context, r kernel.Request, source string, targets []string) (*Selftests, func(), error) {
	dir, release, err := m.Store.Get(ctx, "selftests", key(append([]string{"selftests 1", source}, targets...)...), nil, func(dir string) error {
		m.note("build selftests %s for %s", strings.Join(targets, ", "), r)
		tree, unlock, err := m.selftestTree(ctx, r, targets)
		if err != nil {
			return err
		}
		defer unlock()
		return selftests(ctx, tree, r, targets, dir)
	})
	if err != nil {
		return nil, nil, err
	}
	s := &Selftests{Dir: dir}
	if s.Tests, err = listTests(dir); err != nil {
		release()
		return nil, nil, err
	}
	return s, release, nil
}

// ofKernel matches, in a target's Makefile, what is made from a built kernel:
// modules, and programs that read its image. Everything else wants headers only.
var ofKernel = regexp.MustCompile(`TEST_GEN_MODS_DIR|\bKDIR\b|(?i:vmlinux)`)

// selftestTree returns the tree that targets are made in: built if they need it.
func (m *Maker) selftestTree(ctx context.Context, r kernel.Request, targets []string) (*kernel.Tree, func(), error) {
	tree, unlock, err := m.Kernels.SourceTree(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	built, err := needKernel(tree.Source, targets)
	if err == nil && !built {
		return tree, unlock, nil
	}
	unlock()
	if err != nil {
		return nil, nil, err
	}
	return m.Kernels.Tree(ctx, r)
}

// needKernel reports whether one of the targets needs a built kernel.
func needKernel(source string, targets []string) (bool, error) {
	for _, target := range targets {
		data, err := os.ReadFile(filepath.Join(source, "tools", "testing", "selftests", target, "Makefile"))
		if err != nil {
			return false, outcome.Errorf(outcome.Fail, "selftests: the kernel's source has no tools/testing/selftests/%s", target)
		}
		if ofKernel.Match(data) {
			return true, nil
		}
	}
	return false, nil
}

func selftests(ctx context.Context, t *kernel.Tree, r kernel.Request, targets []string, dir string) error {
	src := filepath.Join(t.Source, "tools", "testing", "selftests")
	if err := kbuild(ctx, t, r, "install the kernel's headers", "-s", "headers"); err != nil {
		return err
	}
	// One program that cannot be linked statically is no reason to run none:
	// make keeps going (-k), and what is missing fails when its turn comes. A
	// test that overrides a function of libc only links with -z muldefs.
	args := []string{
		"--no-print-directory", "-s", "-k", "-j", strconv.Itoa(runtime.NumCPU()), "-C", src,
		"ARCH=" + r.Arch.SrcArch, "O=" + t.Build,
		"KHDR_INCLUDES=-isystem " + filepath.Join(t.Build, "usr", "include"),
		"USERLDFLAGS=-static -Wl,-z,muldefs", "KDIR=" + t.Build,
		"TARGETS=" + strings.Join(targets, " "), "INSTALL_PATH=" + dir, "install",
	}
	err := run(ctx, "", t.Env, "build selftests "+strings.Join(targets, ", "), "make", append(args, t.Tools...)...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if _, serr := os.Stat(filepath.Join(dir, listFile)); serr != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, logFile), []byte(err.Error()+"\n"), 0o644)
	}
	return nil
}

const (
	listFile = "kselftest-list.txt" // "target:test", one a line
	logFile  = "build.log"          // why some programs are missing
)

// Log returns what the compiler said of programs that are missing, or "".
func (s *Selftests) Log() string {
	data, err := os.ReadFile(filepath.Join(s.Dir, logFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func listTests(dir string) ([]Selftest, error) {
	f, err := os.Open(filepath.Join(dir, listFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := parseList(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	for i := range list {
		t := &list[i]
		if settings, err := os.ReadFile(filepath.Join(dir, t.Target, "settings")); err == nil {
			t.Timeout = parseSettings(string(settings))
		}
		if _, err := os.Stat(filepath.Join(dir, t.Target, t.Name)); err != nil {
			t.Missing = true
		}
	}
	return list, nil
}

func parseList(r io.Reader) ([]Selftest, error) {
	var list []Selftest
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		target, name, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%q is no TARGET:TEST", line)
		}
		list = append(list, Selftest{Target: target, Name: name, Timeout: selftestTimeout})
	}
	return list, lines.Err()
}

var timeoutRE = regexp.MustCompile(`(?m)^timeout=(\d+)`)

// parseSettings reads the timeout of a target's settings file, in seconds;
// there 0 means none, for which an hour stands here.
func parseSettings(s string) time.Duration {
	m := timeoutRE.FindStringSubmatch(s)
	if m == nil {
		return selftestTimeout
	}
	sec, err := strconv.Atoi(m[1])
	if err != nil || sec == 0 || sec > 3600 {
		sec = 3600
	}
	return time.Duration(sec) * time.Second
}
