package payload

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/hotbuild"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/outcome"
)

// Hotpatch returns the hotpatch command for an architecture.
func (m *Maker) Hotpatch(ctx context.Context, a *arch.Arch) (path string, release func(), err error) {
	return m.goProgram(ctx, a, filepath.Join(m.Root, "tools/cmd/hotpatch"))
}

// HotpatchModule returns the livepatch module made from source patches for the
// kernel of a request. It is not kept: what it is made by is under test.
func (m *Maker) HotpatchModule(ctx context.Context, r kernel.Request, name string, patches []string, replace bool) (path string, release func(), err error) {
	req := hotbuild.Request{Name: name, Replace: replace, Version: "test"}
	for _, p := range patches {
		data, err := os.ReadFile(p)
		if err != nil {
			return "", nil, err
		}
		patch, err := hotbuild.ParsePatch(p, data)
		if err != nil {
			return "", nil, outcome.Errorf(outcome.Fail, "%w", err)
		}
		req.Patches = append(req.Patches, patch)
	}
	tree, unlock, err := m.Kernels.Tree(ctx, r)
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	if req.Kernel, err = hotbuild.OpenKernel(tree.Build); err != nil {
		return "", nil, err
	}
	res, err := hotbuild.Build(ctx, req)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return "", nil, err
		}
		return "", nil, outcome.Errorf(outcome.Of(err), "%w", err)
	}
	if len(res.Refusals) > 0 {
		var why []string
		for _, f := range res.Refusals {
			why = append(why, f.Error())
		}
		return "", nil, outcome.Errorf(outcome.Fail, "refused: %s", strings.Join(why, "; "))
	}
	dir, err := os.MkdirTemp("", "kernlab-hotpatch-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, name+".ko")
	if err := os.WriteFile(path, res.Module, 0o644); err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, err
	}
	return path, func() { _ = os.RemoveAll(dir) }, nil
}
