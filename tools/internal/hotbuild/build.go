package hotbuild

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/arm64"
	"cloudkernel/kpatch-arm64/diff"
	"cloudkernel/kpatch-arm64/image"
	"cloudkernel/kpatch-arm64/module"
	"cloudkernel/kpatch-arm64/object"
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

// compiler remembers the compiler of a recorded command, and makes sure that it
// is the one the kernel was built with.
func (b *build) compiler(ctx context.Context, c *cmdFile) error {
	args, err := c.args()
	if err != nil {
		return err
	}
	n := 1
	if filepath.Base(args[0]) == "ccache" && len(args) > 1 {
		n = 2
	}
	b.cc = args[:n:n]
	b.version, err = b.Kernel.CheckCompiler(ctx, b.cc)
	return err
}

// pair is a target compiled before and after the change.
type pair struct {
	cmd  *cmdFile
	part *module.Part
}

// compare compiles all targets before and after, and returns those that differ
// as parts of the module.
func (b *build) compare(ctx context.Context, targets []*cmdFile) ([]*module.Part, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	if err := b.compiler(ctx, targets[0]); err != nil {
		return nil, err
	}
	view, err := b.view(targets)
	if err != nil {
		return nil, err
	}
	include := filepath.Join(b.dir, "include")
	if err := os.MkdirAll(include, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(include, "hotpatch.h"), header, 0o644); err != nil {
		return nil, err
	}
	before := &tool{dir: b.Kernel.Build, out: filepath.Join(b.dir, "before"), include: include}
	after := &tool{dir: view.build, translate: view.translate, out: filepath.Join(b.dir, "after"), include: include}
	for _, t := range []*tool{before, after} {
		if err := os.MkdirAll(t.out, 0o755); err != nil {
			return nil, err
		}
	}
	pairs := make([]pair, len(targets))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, runtime.GOMAXPROCS(0)))
	for i, c := range targets {
		pairs[i].cmd = c
		g.Go(func() error {
			b.Progress("compile %s (%d of %d)", c.target, i+1, len(targets))
			part, err := b.compareTarget(gctx, before, after, view, c)
			pairs[i].part = part
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var parts []*module.Part
	for _, p := range pairs {
		if p.part != nil {
			parts = append(parts, p.part)
		}
	}
	return parts, b.locate(parts, targets)
}

// view makes the private view of the source with the changed files in it.
func (b *build) view(targets []*cmdFile) (*shadow, error) {
	s, err := newShadow(b.Kernel, filepath.Join(b.dir, "view"))
	if err != nil {
		return nil, fmt.Errorf("make a view of the source: %w", err)
	}
	spelling := map[string]string{}
	for _, c := range targets {
		for _, d := range c.deps {
			if r := b.Kernel.rel(d); b.touched[r] && spelling[r] == "" {
				spelling[r] = d
			}
		}
	}
	for name, c := range b.changes {
		var content []byte
		if !c.deleted {
			natural := s.translate(spelling[name])
			content = c.text()
			if natural != "" {
				content = pinLines(c, natural, otherSpelling(name, natural))
			}
		}
		if err := s.replace(name, content); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// otherSpelling returns a second name for a source file that kbuild's prefix
// maps turn into the same text as the first.
func otherSpelling(name, natural string) string {
	if natural == name {
		return "./" + name
	}
	return name
}

// compareTarget compiles one target before and after. It returns a part for the
// module, or nil when there is nothing to do for it.
func (b *build) compareTarget(ctx context.Context, before, after *tool, view *shadow, c *cmdFile) (*module.Part, error) {
	cl, refusal := classify(c)
	if cl != classObject {
		return nil, b.compareFrozen(ctx, before, after, c, cl, refusal)
	}
	o, err := before.object(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%w (this is the unchanged source: did it change since the kernel was built?)", err)
	}
	p, err := after.object(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%w (with the patch applied)", err)
	}
	if list := view.escapes(p.deps, b.touched); len(list) > 0 {
		return nil, fmt.Errorf("%s reads the original of %s by a path that leads out of the private copy: this build layout is not supported", c.target, strings.Join(list, ", "))
	}
	if b.Keep != "" {
		if err := b.keep(c.target, o.data, p.data); err != nil {
			return nil, err
		}
	}
	if bytes.Equal(o.data, p.data) {
		return nil, nil
	}
	orig, err := object.Read(o.data, b.arch)
	if err != nil {
		return nil, fmt.Errorf("%s before the change: %w", c.target, err)
	}
	patched, err := object.Read(p.data, b.arch)
	if err != nil {
		return nil, fmt.Errorf("%s after the change: %w", c.target, err)
	}
	res, err := diff.Compare(orig, patched)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.target, err)
	}
	b.mu.Lock()
	b.res.Objects = append(b.res.Objects, Object{c.target, res.Report()})
	b.res.Refusals = append(b.res.Refusals, res.Refusals...)
	b.mu.Unlock()
	if res.Empty() {
		return nil, nil
	}
	return &module.Part{Name: c.target, Diff: res}, nil
}

// compareFrozen refuses a change to what comes out of a target that cannot be
// changed at run time.
func (b *build) compareFrozen(ctx context.Context, before, after *tool, c *cmdFile, cl class, r diff.Refusal) error {
	o, err := before.plain(ctx, c)
	if err != nil {
		return err
	}
	p, err := after.plain(ctx, c)
	if err != nil {
		return err
	}
	same := bytes.Equal(o.data, p.data)
	if !same && cl == classText {
		same = bytes.Equal(markers(o.data), markers(p.data))
	}
	if !same && cl == classFrozen {
		same = sameProgram(o.data, p.data, b.arch)
	}
	if !same {
		b.refuse(r)
	}
	return nil
}

// markers returns the lines of an assembly text by which constants are handed
// to other sources (linux/kbuild.h), or all of a text that has none.
func markers(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte(`"->`)) {
			out = append(out, line...)
		}
	}
	if out == nil {
		return text
	}
	return out
}

// sameProgram reports whether two objects are the same but for what debuggers
// look at.
func sameProgram(a, b []byte, ar arch.Arch) bool {
	x, err1 := object.Read(a, ar)
	y, err2 := object.Read(b, ar)
	if err1 != nil || err2 != nil {
		return false
	}
	return diff.SameProgram(x, y)
}

// locate finds the image of every part and the part's place in it.
func (b *build) locate(parts []*module.Part, targets []*cmdFile) error {
	if len(parts) == 0 {
		return nil
	}
	b.Progress("find %s in the kernel's symbol table", plural(len(parts), "object"))
	var err error
	if b.exports, err = b.Kernel.readExports(); err != nil {
		return err
	}
	for _, part := range parts {
		cmd := commandOf(targets, part.Name)
		path, err := modulePath(cmd)
		if err != nil {
			return err
		}
		if part.Image, err = b.images.get(path); err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(b.Kernel.Build, part.Name))
		if err != nil {
			return err
		}
		built, err := object.Read(data, b.arch)
		if err != nil {
			return fmt.Errorf("%s: %w", part.Name, err)
		}
		if err := diff.Twin(built, part.Diff.Orig); err != nil {
			return fmt.Errorf("%s: %w; the source, the configuration or the compiler changed since the kernel was built: build it again", part.Name, err)
		}
		part.Place, err = part.Image.Place(built.File)
		if errors.Is(err, image.ErrAbsent) {
			b.refuse(diff.Refusal{Rule: "absent", Name: part.Name, What: "it is compiled but not linked into this kernel", Remedy: "leave it out of the patch"})
		} else if err != nil {
			return fmt.Errorf("%s: %w", part.Name, err)
		}
	}
	return nil
}

func commandOf(targets []*cmdFile, name string) *cmdFile {
	for _, c := range targets {
		if c.target == name {
			return c
		}
	}
	return nil
}

// modulePath returns the path of the module that an object is part of, without
// ".ko"; "" if it is part of vmlinux.
func modulePath(c *cmdFile) (string, error) {
	args, err := c.args()
	if err != nil {
		return "", err
	}
	inModule, path := false, ""
	for _, a := range args {
		if a == "-DMODULE" {
			inModule = true
		}
		if v, ok := strings.CutPrefix(a, "-DKBUILD_MODFILE="); ok {
			path = strings.Trim(v, `"`)
		}
	}
	if !inModule {
		return "", nil
	}
	if path == "" {
		return "", fmt.Errorf("%s is part of a module, but the recorded command does not say which", c.target)
	}
	return path, nil
}

// module assembles, links, finishes and verifies the module.
func (b *build) module(ctx context.Context, parts []*module.Part) error {
	if err := b.Kernel.Check(); err != nil {
		return err
	}
	vmlinux, err := b.images.get("")
	if err != nil {
		return err
	}
	plan := module.NewPlan(module.Target{
		Vmlinux: vmlinux,
		Exports: b.exports.vmlinux,
		Modules: func(symbol string) *image.Image {
			im, err := b.images.get(b.exports.modules[symbol])
			if b.exports.modules[symbol] == "" || err != nil {
				return nil
			}
			return im
		},
	}, parts, b.Replace)
	if b.res.Refusals = append(b.res.Refusals, plan.Refusals...); len(b.res.Refusals) > 0 {
		return nil
	}
	m := b.manifest(vmlinux)
	plan.Describe(m)
	var objects [][]byte
	for i := range parts {
		o, err := plan.Assemble(i)
		if err != nil {
			return fmt.Errorf("assemble %s: %w", parts[i].Name, err)
		}
		objects = append(objects, o)
	}
	b.Progress("link the module")
	dir := filepath.Join(b.dir, "module")
	path, err := b.Kernel.linkModule(ctx, dir, b.Name, plan.Source(b.description()), objects, b.cc)
	if err != nil {
		return err
	}
	linked, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if b.Keep != "" {
		if err := b.keepModule(dir); err != nil {
			return err
		}
	}
	ko, err := module.Finish(linked, m)
	if err != nil {
		return fmt.Errorf("finish the module: %w", err)
	}
	if err := plan.Verify(ko); err != nil {
		return err
	}
	b.res.Module, b.res.Manifest = ko, m
	return nil
}

func (b *build) manifest(vmlinux *image.Image) *module.Manifest {
	m := &module.Manifest{
		Name: b.Name, Arch: b.Kernel.Arch.Name, Release: b.Kernel.Release, BuildID: vmlinux.BuildID,
		Compiler: b.version, Tool: b.Version,
	}
	if data, err := os.ReadFile(filepath.Join(b.Kernel.Build, ".config")); err == nil {
		sum := sha256.Sum256(data)
		m.Config = hex.EncodeToString(sum[:])
	}
	for _, p := range b.Patches {
		m.Patches = append(m.Patches, module.PatchFile{Name: p.Name, SHA256: p.SHA256, Subject: p.Subject})
	}
	return m
}

func (b *build) description() string {
	var names []string
	for _, p := range b.Patches {
		n := p.Subject
		if n == "" {
			n = p.Name
		}
		names = append(names, n)
	}
	return "hotpatch: " + strings.Join(names, "; ")
}

// keep copies the two objects of a target to where the caller wants to see
// them.
func (b *build) keep(target string, before, after []byte) error {
	for name, data := range map[string][]byte{"before": before, "after": after} {
		p := filepath.Join(b.Keep, name, target)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (b *build) keepModule(dir string) error {
	to := filepath.Join(b.Keep, "module")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if err := copyFile(filepath.Join(dir, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
