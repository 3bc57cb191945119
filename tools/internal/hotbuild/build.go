package hotbuild

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/arm64"
	"cloudkernel/kpatch-arm64/diff"
	"cloudkernel/kpatch-arm64/module"
	"cloudkernel/tools/internal/outcome"
)

//go:embed hotpatch.h
var header []byte

// Request says what to build.
type Request struct {
	Kernel  *Kernel
	Patches []*Patch
	// Name of the module; see ModuleName.
	Name    string
	Replace bool // atomic replace: drop all earlier hotpatches when it is applied
	Version string
	// Progress, if not nil, is told what is being done.
	Progress func(format string, args ...any)
	// Keep, if not "", is a directory that is filled with what the module was
	// made from, for people who want to see it.
	Keep string
}

// Result is a module, or why there is none.
type Result struct {
	Module   []byte // content of the .ko; nil if there is nothing to do or it was refused
	Manifest *module.Manifest
	Objects  []Object
	Refusals []diff.Refusal
	Notes    []string
}

// Object is what the patches do to one object.
type Object struct {
	Name   string      `json:"object"`
	Report diff.Report `json:"report"`
}

// ErrNothing says that the patches change no code.
var ErrNothing = errors.New("nothing to do")

var moduleNameRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,54}$`)

// ModuleName returns the name of the module that is kept in a file.
func ModuleName(file string) (string, error) {
	n := moduleName(file)
	if !moduleNameRE.MatchString(n) {
		return "", fmt.Errorf("%q cannot be a module's name: use up to 55 letters, digits, - and _", strings.TrimSuffix(filepath.Base(file), ".ko"))
	}
	return n, nil
}

// build is a Request being worked on.
type build struct {
	Request
	dir     string
	arch    arch.Arch
	changes map[string]*change
	touched map[string]bool
	images  *images
	exports *exports
	cc      []string
	version string // of the compiler

	mu  sync.Mutex
	res *Result
}

// Build makes a module. Refusals are no error: they are part of the result.
func Build(ctx context.Context, req Request) (*Result, error) {
	dir, err := os.MkdirTemp("", "hotpatch-")
	if err != nil {
		return nil, outcome.Errorf(outcome.Infra, "make a temporary directory: %w", err)
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	if req.Progress == nil {
		req.Progress = func(string, ...any) {}
	}
	b := &build{Request: req, dir: dir, arch: arm64.Arch, images: req.Kernel.images(), touched: map[string]bool{}, res: &Result{}}
	defer b.images.close()
	if err := b.apply(); err != nil {
		return nil, err
	}
	if len(b.res.Refusals) > 0 {
		return b.res, nil
	}
	targets, err := b.targets(ctx)
	if err != nil || len(b.res.Refusals) > 0 {
		return b.res, err
	}
	parts, err := b.compare(ctx, targets)
	if err != nil || len(b.res.Refusals) > 0 {
		return b.res, err
	}
	if len(parts) == 0 {
		return b.res, ErrNothing
	}
	return b.res, b.module(ctx, parts)
}

// apply applies the patches to copies, and looks at which files they touch.
func (b *build) apply() error {
	var err error
	b.changes, err = applyPatches(func(p string) ([]byte, error) {
		return os.ReadFile(filepath.Join(b.Kernel.Source, p))
	}, b.Patches)
	if err != nil {
		return err
	}
	for name, c := range b.changes {
		why, refusal := kindOfFile(name)
		switch {
		case why != "":
			b.res.Notes = append(b.res.Notes, fmt.Sprintf("%s is left out: %s", name, why))
			delete(b.changes, name)
		case refusal != nil:
			b.refuse(*refusal)
		case c.added && strings.HasSuffix(name, ".c"):
			b.refuse(diff.Refusal{Rule: "new-file", Name: name, What: "it is a new source file, which no object of the kernel is built from", Remedy: "put the new functions into a file that is part of the kernel"})
		default:
			b.touched[name] = true
		}
	}
	return nil
}

func (b *build) refuse(r diff.Refusal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.res.Refusals = append(b.res.Refusals, r)
}

func (b *build) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.res.Notes = append(b.res.Notes, fmt.Sprintf(format, args...))
}

// targets finds what is built from the touched files.
func (b *build) targets(ctx context.Context) ([]*cmdFile, error) {
	b.Progress("find what is built from %s", plural(len(b.touched), "changed file"))
	var names []string
	for n := range b.touched {
		names = append(names, n)
	}
	found, err := b.Kernel.find(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("find what is built from the changed files: %w", err)
	}
	var list []*cmdFile
	used := map[string]bool{}
	for _, c := range found {
		for _, d := range c.deps {
			used[b.Kernel.rel(d)] = true
		}
		if cl, _ := classify(c); cl != classIgnore {
			list = append(list, c)
		}
	}
	for _, n := range names {
		if !used[n] && !b.changes[n].added {
			b.note("%s is left out: nothing of this kernel is built from it", n)
		}
	}
	return list, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
