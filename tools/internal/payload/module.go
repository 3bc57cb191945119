package payload

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloudkernel/tools/internal/kernel"
)

// modulesDir is where modules are built, below the kernel's build directory.
const modulesDir = ".modules"

// ModuleSource returns the name that debug information has for a module's
// source file.
func ModuleSource(source string) string {
	base := filepath.Base(source)
	return modulesDir + "/" + strings.TrimSuffix(base, ".c") + "/" + base
}

// Module returns the kernel module made from a C file for the kernel of a
// request, which has the given key.
func (m *Maker) Module(ctx context.Context, r kernel.Request, kernelKey, source string) (path string, release func(), err error) {
	text, err := os.ReadFile(source)
	if err != nil {
		return "", nil, err
	}
	name := strings.TrimSuffix(filepath.Base(source), ".c")
	dir, release, err := m.Store.Get(ctx, "module", key("module 1", kernelKey, name, string(text)), nil, func(dir string) error {
		tree, unlock, err := m.Kernels.Tree(ctx, r)
		if err != nil {
			return err
		}
		defer unlock()
		// The build's directory is always of this name, below the tree's: what
		// the compiler writes down of paths is then equal for equal modules.
		work := filepath.Join(tree.Build, modulesDir, name)
		if err := os.RemoveAll(work); err != nil {
			return err
		}
		if err := os.MkdirAll(work, 0o755); err != nil {
			return err
		}
		for file, data := range map[string][]byte{"Kbuild": fmt.Appendf(nil, "obj-m := %s.o\n", name), name + ".c": text} {
			if err := os.WriteFile(filepath.Join(work, file), data, 0o644); err != nil {
				return err
			}
		}
		if err := kbuild(ctx, tree, r, "build module "+name, "M="+work, "modules"); err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(work, name+".ko"))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".ko"), data, 0o644)
	})
	return filepath.Join(dir, name+".ko"), release, err
}

// kbuild runs make in the kernel's tree as kbuild is run.
func kbuild(ctx context.Context, t *kernel.Tree, r kernel.Request, what string, args ...string) error {
	all := []string{
		"--no-print-directory", "-C", t.Source, "O=" + filepath.Base(t.Build),
		"ARCH=" + r.Arch.Kbuild, "CC=" + t.CC,
	}
	return run(ctx, "", t.Env, what, "make", slices.Concat(all, t.Tools, args)...)
}
