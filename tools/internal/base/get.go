package base

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/store"
)

// kind is the kind of the store's entries: base/<sha256>/src is a tree.
const kind = "base"

// Source is a pristine tree of the kernel's source.
type Source struct {
	Dir        string // the extracted tree; never written to
	Version    string // what its Makefile says, such as 6.12.117
	Digest     string // sha256 in hex of the content it was made from
	From       string // where it came from, for people
	Substitute bool   // not the release that the pin names
}

// Options say how Get gets the base. The zero value asks for what the pin says.
type Options struct {
	Base     string    // name of one of the pin's sources, or path of a tree or a tarball; "" for the first source that works
	SHA256   string    // digest that Base must have, where the pin knows none
	Progress io.Writer // bars and warnings go here; nil for silence
}

// unavailable is the error of a source that does not have what the pin names.
type unavailable struct{ reason string }

func (e *unavailable) Error() string { return e.reason }

// Get returns the base that the pin names, or the one that opt asks for. The
// tree is protected from removal until release is called. Its errors have the
// outcome Infra.
func Get(ctx context.Context, st *store.Store, pin *Pin, opt Options) (src *Source, release func(), err error) {
	g := &getter{st: st, pin: pin, opt: opt, out: opt.Progress, free: freeBytes, apt: aptTool{}}
	if g.out == nil {
		g.out = io.Discard
	}
	src, release, err = g.get(ctx)
	if err != nil && ctx.Err() == nil && outcome.Of(err) == outcome.Fail {
		err = &outcome.Error{Outcome: outcome.Infra, Err: fmt.Errorf("get the base: %w", err)}
	}
	return src, release, err
}

type getter struct {
	st   *store.Store
	pin  *Pin
	opt  Options
	out  io.Writer
	free func(dir string) (int64, error)
	apt  apt
}

func (g *getter) get(ctx context.Context) (*Source, func(), error) {
	if s := g.opt.SHA256; s != "" && !digestRE.MatchString(s) {
		return nil, nil, fmt.Errorf("%q is no sha256: want 64 lower-case hexadecimal digits", s)
	}
	origins := g.pin.Sources
	if g.opt.Base != "" {
		o := g.pin.source(g.opt.Base)
		if o == nil {
			return g.local(ctx, g.opt.Base)
		}
		origins = []Origin{*o}
		if o.SHA256 == "" {
			origins[0].SHA256 = g.opt.SHA256
		} else if g.opt.SHA256 != "" && g.opt.SHA256 != o.SHA256 {
			return nil, nil, fmt.Errorf("source %s: the pin says sha256 %s, you say %s", o.Name, o.SHA256, g.opt.SHA256)
		}
	}
	for _, o := range origins {
		src, release, err := g.stored(ctx, o)
		var no *unavailable
		if !errors.As(err, &no) {
			return src, release, err
		}
	}
	var reasons []string
	gone := false
	for _, o := range origins {
		src, release, err := g.fetch(ctx, o)
		if err == nil {
			return src, release, nil
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		var no *noSpace
		if errors.As(err, &no) {
			return nil, nil, err
		}
		var g *goneError
		if errors.As(err, &g) {
			gone = true
		}
		reasons = append(reasons, fmt.Sprintf("source %s: %v", o.Name, err))
	}
	if gone {
		for _, o := range origins {
			if o.Package == "" {
				continue
			}
			src, release, err := g.substitute(ctx, o, reasons)
			if err == nil {
				return src, release, nil
			}
			reasons = append(reasons, fmt.Sprintf("another %s release from %s: %v", line(g.pin.Version), o.Name, err))
		}
	}
	return nil, nil, fmt.Errorf("no source has Linux %s:\n  %s\ngive one with --base PATH (a source tree or a tarball)", g.pin.Version, strings.Join(reasons, "\n  "))
}

// stored returns the base of an origin if the store has it already.
func (g *getter) stored(ctx context.Context, o Origin) (*Source, func(), error) {
	if o.SHA256 == "" {
		return nil, nil, &unavailable{"its digest is not known"}
	}
	return g.entry(ctx, o.SHA256, g.pin.Version, func(string) error { return &unavailable{"not in the store"} })
}

// fetch makes the store's entry of an origin.
func (g *getter) fetch(ctx context.Context, o Origin) (*Source, func(), error) {
	if o.SHA256 == "" {
		return nil, nil, &unavailable{fmt.Sprintf("no sha256 is pinned for it; to use it, give --base %s --base-sha256 with a digest you trust", o.Name)}
	}
	return g.entry(ctx, o.SHA256, g.pin.Version, func(dir string) error {
		switch {
		case o.File != "":
			if _, err := os.Stat(o.File); err != nil {
				return &unavailable{o.File + " is not there"}
			}
			return g.unpackFile(ctx, o.File, o.SHA256, dir, "file "+o.File)
		case o.Package != "":
			return g.unpackPackage(ctx, o.Package, o.Release, o.SHA256, dir)
		default:
			return g.unpackURL(ctx, o, dir)
		}
	})
}

// entry returns the store's entry of a digest as a source. version is what its
// Makefile must say, "" for anything.
func (g *getter) entry(ctx context.Context, digest, version string, fill func(dir string) error) (*Source, func(), error) {
	wait := func() { fmt.Fprintln(g.out, "waiting for another kernlab to unpack the base") }
	dir, release, err := g.st.Get(ctx, kind, digest, wait, func(dir string) error {
		if err := fill(dir); err != nil {
			return err
		}
		got, err := readVersion(filepath.Join(dir, "src"))
		if err == nil && version != "" && got != version {
			err = fmt.Errorf("it holds Linux %s, wanted %s", got, version)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	src := &Source{Dir: filepath.Join(dir, "src"), Digest: digest}
	if src.Version, err = readVersion(src.Dir); err != nil {
		release()
		return nil, nil, fmt.Errorf("the unpacked base is damaged: %w; remove %s and try again", err, dir)
	}
	from, _ := os.ReadFile(filepath.Join(dir, "from"))
	src.From = strings.TrimSpace(string(from))
	return src, release, nil
}

// unpackFile verifies a tarball and unpacks it into dir, an entry being made.
func (g *getter) unpackFile(ctx context.Context, path, digest, dir, from string) error {
	if err := g.needSpace(dir); err != nil {
		return err
	}
	got, err := hashFile(ctx, path)
	if err != nil {
		return err
	}
	if digest != "" && got != digest {
		return &unavailable{fmt.Sprintf("%s has sha256 %s, wanted %s: it is another release, or damaged", path, got, digest)}
	}
	if err := unpack(ctx, path, filepath.Join(dir, "src"), g.out); err != nil {
		return fmt.Errorf("unpack %s: %w", path, err)
	}
	return os.WriteFile(filepath.Join(dir, "from"), []byte(from+"\n"), 0o644)
}
