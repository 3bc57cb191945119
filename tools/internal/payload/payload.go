package payload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
	"cloudkernel/tools/internal/store"
)

// Maker makes payloads. Its methods may be called from several goroutines.
type Maker struct {
	Store   *store.Store
	Kernels *kernel.Builder // for modules and selftests, which need the kernel's tree
	Root    string          // the repository: Go programs are packages of its module
	Note    func(format string, args ...any)
}

func (m *Maker) note(format string, args ...any) {
	if m.Note != nil {
		m.Note(format, args...)
	}
}

// key names something made from parts.
func key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:24]
}

// Program returns the executable made from a C file, or from a Go file or
// package directory, for an architecture.
func (m *Maker) Program(ctx context.Context, a *arch.Arch, source string) (path string, release func(), err error) {
	if filepath.Ext(source) == ".c" {
		return m.cProgram(ctx, a, source)
	}
	return m.goProgram(ctx, a, source)
}

// Name returns what a program is called in the guest: its file's name without
// the ending.
func Name(source string) string {
	base := filepath.Base(source)
	return strings.TrimSuffix(strings.TrimSuffix(base, ".c"), ".go")
}

var cFlags = []string{"-O2", "-g", "-Wall", "-Wextra", "-std=gnu11", "-pthread", "-static"}

func (m *Maker) cProgram(ctx context.Context, a *arch.Arch, source string) (string, func(), error) {
	text, err := os.ReadFile(source)
	if err != nil {
		return "", nil, err
	}
	cc := a.Cross(runtime.GOARCH) + "gcc"
	version, err := firstLine(ctx, cc, "--version")
	if err != nil {
		return "", nil, err
	}
	// Headers of its own directory may be part of it.
	headers, err := filepath.Glob(filepath.Join(filepath.Dir(source), "*.h"))
	if err != nil {
		return "", nil, err
	}
	parts := []string{"c 1", version, strings.Join(cFlags, " "), filepath.Base(source), string(text)}
	for _, h := range headers {
		data, err := os.ReadFile(h)
		if err != nil {
			return "", nil, err
		}
		parts = append(parts, filepath.Base(h), string(data))
	}
	name := Name(source)
	dir, release, err := m.Store.Get(ctx, "program", key(parts...), nil, func(dir string) error {
		args := append(append([]string{}, cFlags...), "-o", filepath.Join(dir, name), source)
		return run(ctx, "", nil, "compile "+filepath.Base(source), cc, args...)
	})
	return filepath.Join(dir, name), release, err
}

// goProgram builds into the store under the program's name. Go's own cache
// knows better than a key of ours when that is up to date, so it is asked each
// time.
func (m *Maker) goProgram(ctx context.Context, a *arch.Arch, source string) (string, func(), error) {
	name := Name(source)
	unlock, err := m.Store.Lock(ctx, "goprogram", a.Name+"-"+key(source), nil)
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp("", "kernlab-go-")
	if err != nil {
		return "", nil, err
	}
	release := func() { _ = os.RemoveAll(dir) }
	path := filepath.Join(dir, name)
	env := append(os.Environ(), "GOOS=linux", "GOARCH="+a.GOARCH, "CGO_ENABLED=0")
	err = run(ctx, m.Root, env, "build "+filepath.Base(source), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, source)
	if err != nil {
		release()
		return "", nil, err
	}
	return path, release, nil
}

// firstLine returns the first line that a tool prints.
func firstLine(ctx context.Context, tool string, args ...string) (string, error) {
	out, err := proc.Command(ctx, tool, args...).Output()
	if err != nil {
		return "", missing(tool, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, nil
}

// missing makes an error of a tool that is not there say what to do.
func missing(tool string, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return outcome.Errorf(outcome.Infra, "%s is not in PATH; 'kernlab doctor --install' installs it", tool)
	}
	return outcome.Errorf(outcome.Infra, "%s: %w", tool, err)
}

// run runs a tool in dir with an environment, nil for our own. Its output is the error's text when it fails: a
// compiler says best what is wrong. What does not compile is a failure of the
// case, not of the laboratory.
func run(ctx context.Context, dir string, env []string, what, tool string, args ...string) error {
	cmd := proc.Command(ctx, tool, args...)
	cmd.Dir = dir
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return missing(tool, err)
	}
	return outcome.Errorf(outcome.Fail, "%s: %s", what, tail(string(out)))
}

// tail returns the part of a tool's output that says what went wrong: from
// the first error on, or the end.
func tail(out string) string {
	const most = 4000
	out = strings.TrimSpace(out)
	for _, mark := range []string{"error:", "Error ", "*** "} {
		if i := strings.Index(out, mark); i >= 0 {
			out = out[strings.LastIndexByte(out[:i], '\n')+1:]
			break
		}
	}
	if len(out) > most {
		out = out[:most] + "\n…"
	}
	return out
}
