package hotbuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"cloudkernel/kpatch-arm64/diff"
	"cloudkernel/kpatch-arm64/image"
	"cloudkernel/kpatch-arm64/module"
	"cloudkernel/kpatch-arm64/object"
)

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
		modPath, err := b.Kernel.modulePath(cmd)
		if err != nil {
			return err
		}
		if part.Image, err = b.images.get(modPath); err != nil {
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
// ".ko"; "" if it is part of vmlinux. The recorded command says that it is part
// of one, and its name; kbuild lists a module's objects in its .mod file, which
// lies in the object's directory or above.
func (k *Kernel) modulePath(c *cmdFile) (string, error) {
	args, err := c.args()
	if err != nil {
		return "", err
	}
	inModule, name := false, ""
	for _, a := range args {
		if a == "-DMODULE" {
			inModule = true
		}
		if v, ok := strings.CutPrefix(a, "-DKBUILD_MODNAME="); ok {
			name = strings.Trim(v, `"`)
		}
	}
	if !inModule {
		return "", nil
	}
	for dir := path.Dir(c.target); ; dir = path.Dir(dir) {
		lists, err := filepath.Glob(filepath.Join(k.Build, dir, "*.mod"))
		if err != nil {
			return "", err
		}
		for _, l := range lists {
			base := strings.TrimSuffix(filepath.Base(l), ".mod")
			if moduleName(base) != name {
				continue
			}
			data, err := os.ReadFile(l)
			if err != nil {
				return "", err
			}
			if slices.Contains(strings.Fields(string(data)), c.target) {
				return path.Join(dir, base), nil
			}
		}
		if dir == "." || dir == "/" {
			return "", fmt.Errorf("%s is part of a module (%s), but no .mod file lists it: build the kernel's modules", c.target, name)
		}
	}
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
