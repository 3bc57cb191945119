// Package bring puts together what a case or a benchmark brings into its guest:
// its files as they are, and what is made of its sources for the guest's kernel.
//
// All of it lies in one directory there, but for the kernel's own selftests,
// which have another. What is inside the directory that the
// declaration is in keeps its path below that; what is named from elsewhere
// ("../shared.sh") lies at the top. Programs are 0755, modules and hotpatches
// 0644, and with hotpatches comes the command that applies them.
package bring

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/payload"
)

// Dir is the directory in the guest.
const Dir = "/case"

// SelftestDir is where the kernel's selftests are in the guest, each target in
// a directory of its own.
const SelftestDir = "/selftests"

// bootImage is what the kernel's image is called in Dir.
const bootImage = "boot-image"

// Things are what is brought. Paths are relative to Root.
type Things struct {
	Root                     string
	Files, Programs, Modules []string
	Hotpatches               []cases.Hotpatch
	Selftests                []cases.SelftestRef // their targets are brought whole
	BootImage                bool                // what the guest itself was booted from
}

// Brought is what came of Things.
type Brought struct {
	Entries   []image.Entry      // Dir and SelftestDir, and what is in them
	Modules   map[string]string  // files of modules and hotpatches, by the name the kernel knows them by
	Sources   map[string]string  // sources of modules, by the name their debug information has for them
	Selftests *payload.Selftests // nil if there are none
}

// Bring makes the things for a guest of k, which is the request's kernel. What
// was made stays at least until release is called.
func Bring(ctx context.Context, m *payload.Maker, req kernel.Request, k *kernel.Kernel, t Things) (_ *Brought, release func(), err error) {
	b := &bringer{ctx: ctx, m: m, root: t.Root, Brought: Brought{
		Entries: []image.Entry{{Path: Dir, Mode: os.ModeDir | 0o777}},
		Modules: map[string]string{}, Sources: map[string]string{},
	}}
	defer func() {
		if err != nil {
			b.release()
		}
	}()
	for _, f := range t.Files {
		if err := b.file(f); err != nil {
			return nil, nil, err
		}
	}
	for _, f := range t.Programs {
		if err := b.program(req.Arch, f); err != nil {
			return nil, nil, err
		}
	}
	for _, f := range t.Modules {
		if err := b.module(req, k.Key, f); err != nil {
			return nil, nil, err
		}
	}
	if t.BootImage {
		b.add(bootImage, k.Image(), 0o644)
	}
	if err := b.hotpatches(req, t.Hotpatches); err != nil {
		return nil, nil, err
	}
	if err := b.selftests(req, k, t.Selftests); err != nil {
		return nil, nil, err
	}
	return &b.Brought, b.release, nil
}

type bringer struct {
	Brought
	root     string
	ctx      context.Context
	m        *payload.Maker
	releases []func()
}

func (b *bringer) release() {
	for _, f := range b.releases {
		f()
	}
}

func (b *bringer) add(name, source string, mode os.FileMode) {
	b.Entries = append(b.Entries, image.Entry{Path: Dir + "/" + name, Mode: mode, Source: source})
}

// made adds a file that done releases.
func (b *bringer) made(name, file string, done func(), mode os.FileMode) {
	b.releases = append(b.releases, done)
	b.add(name, file, mode)
}

func (b *bringer) file(f string) error {
	source, name := filepath.Join(b.root, f), filepath.ToSlash(f)
	if !filepath.IsLocal(f) {
		name = filepath.Base(f)
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		b.add(name, source, info.Mode().Perm())
		return nil
	}
	tree, err := image.Tree(source, Dir+"/"+name)
	b.Entries = append(b.Entries, tree...)
	return err
}

func (b *bringer) program(a *arch.Arch, f string) error {
	file, done, err := b.m.Program(b.ctx, a, filepath.Join(b.root, f))
	if err != nil {
		return err
	}
	b.made(payload.Name(f), file, done, 0o755)
	return nil
}

func (b *bringer) module(req kernel.Request, key, f string) error {
	file, done, err := b.m.Module(b.ctx, req, key, filepath.Join(b.root, f))
	if err != nil {
		return err
	}
	base := filepath.Base(file)
	b.made(base, file, done, 0o644)
	b.Modules[known(strings.TrimSuffix(base, ".ko"))] = file
	b.Sources[payload.ModuleSource(f)] = filepath.Join(b.root, f)
	return nil
}

func (b *bringer) hotpatches(req kernel.Request, list []cases.Hotpatch) error {
	if len(list) == 0 {
		return nil
	}
	command, done, err := b.m.Hotpatch(b.ctx, req.Arch)
	if err != nil {
		return err
	}
	b.made("hotpatch", command, done, 0o755)
	for _, h := range list {
		name := string(h.Name)
		var patches []string
		for _, p := range h.Patches {
			patches = append(patches, filepath.Join(b.root, p))
		}
		file, done, err := b.m.HotpatchModule(b.ctx, req, name, patches, h.Replace)
		if err != nil {
			return fmt.Errorf("hotpatch %s: %w", name, err)
		}
		b.made(name+".ko", file, done, 0o644)
		b.Modules[known(name)] = file
	}
	return nil
}

func (b *bringer) selftests(req kernel.Request, k *kernel.Kernel, refs []cases.SelftestRef) error {
	if len(refs) == 0 {
		return nil
	}
	var targets []string
	for _, ref := range refs {
		if !slices.Contains(targets, ref.Target) {
			targets = append(targets, ref.Target)
		}
	}
	s, done, err := b.m.Selftests(b.ctx, req, k.Source, targets)
	if err != nil {
		return err
	}
	b.releases = append(b.releases, done)
	tree, err := image.Tree(s.Dir, SelftestDir)
	if err != nil {
		return fmt.Errorf("selftests: %w", err)
	}
	b.Entries = append(b.Entries, tree...)
	b.Selftests = s
	return nil
}

// known returns the name that the kernel has for a module.
func known(name string) string { return strings.ReplaceAll(name, "-", "_") }
