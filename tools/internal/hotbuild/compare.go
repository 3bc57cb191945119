package hotbuild

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/diff"
	"cloudkernel/kpatch-arm64/module"
	"cloudkernel/kpatch-arm64/object"
)

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
	cmd           *cmdFile
	orig, patched *object.Object
	diff          *diff.Result // nil if the two are the same
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
			return b.compareTarget(gctx, before, after, view, &pairs[i])
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := b.exchange(pairs); err != nil {
		return nil, err
	}
	var parts []*module.Part
	for _, p := range pairs {
		if p.diff == nil {
			continue
		}
		b.res.Objects = append(b.res.Objects, Object{p.cmd.target, p.diff.Report()})
		b.res.Refusals = append(b.res.Refusals, p.diff.Refusals...)
		if !p.diff.Empty() {
			parts = append(parts, &module.Part{Name: p.cmd.target, Diff: p.diff})
		}
	}
	return parts, b.locate(parts, targets)
}

// exchange lets objects have what the patch adds to others.
func (b *build) exchange(pairs []pair) error {
	wanted := map[string]bool{}
	for again := true; again; {
		again = false
		for _, p := range pairs {
			if p.diff != nil {
				for _, n := range p.diff.Wanted() {
					wanted[n] = true
				}
			}
		}
		for i, p := range pairs {
			if p.diff == nil || !slices.ContainsFunc(p.diff.Offers(), func(n string) bool { return wanted[n] }) {
				continue
			}
			res, err := diff.Compare(p.orig, p.patched, slices.Collect(maps.Keys(wanted))...)
			if err != nil {
				return fmt.Errorf("%s: %w", p.cmd.target, err)
			}
			pairs[i].diff, again = res, true
		}
	}
	return nil
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

// compareTarget compiles one target before and after, and compares what comes
// out.
func (b *build) compareTarget(ctx context.Context, before, after *tool, view *shadow, pair *pair) error {
	c := pair.cmd
	cl, refusal := classify(c)
	if cl != classObject {
		return b.compareFrozen(ctx, before, after, c, cl, refusal)
	}
	o, err := before.object(ctx, c)
	if err != nil {
		return fmt.Errorf("%w (this is the unchanged source: did it change since the kernel was built?)", err)
	}
	p, err := after.object(ctx, c)
	if err != nil {
		return fmt.Errorf("%w (with the patch applied)", err)
	}
	if list := view.escapes(p.deps, b.touched); len(list) > 0 {
		return fmt.Errorf("%s reads the original of %s by a path that leads out of the private copy: this build layout is not supported", c.target, strings.Join(list, ", "))
	}
	if b.Keep != "" {
		if err := b.keep(c.target, o.data, p.data); err != nil {
			return err
		}
	}
	if bytes.Equal(o.data, p.data) {
		return nil
	}
	if pair.orig, err = object.Read(o.data, b.arch); err != nil {
		return fmt.Errorf("%s before the change: %w", c.target, err)
	}
	if pair.patched, err = object.Read(p.data, b.arch); err != nil {
		return fmt.Errorf("%s after the change: %w", c.target, err)
	}
	if pair.diff, err = diff.Compare(pair.orig, pair.patched); err != nil {
		return fmt.Errorf("%s: %w", c.target, err)
	}
	return nil
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
