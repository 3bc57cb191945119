package image

import (
	"context"
	"os"
	"path/filepath"

	"cloudkernel/tools/internal/arch"
)

// busybox returns the static busybox of Debian for a. Once fetched it is kept:
// which release of a shell a guest has is no reason to need a network.
func (m *Maker) busybox(ctx context.Context, a *arch.Arch) ([]byte, error) {
	dir, release, err := m.Store.Get(ctx, "busybox", a.Name, nil, func(dir string) error {
		ar, unlock, err := m.openArchive(ctx, a)
		if err != nil {
			return err
		}
		defer unlock()
		packages := []string{"busybox-static"}
		list, err := ar.resolve(ctx, packages)
		if err != nil {
			return err
		}
		paths, err := ar.download(ctx, packages, list)
		if err != nil {
			return err
		}
		for _, p := range paths {
			if err := extract(ctx, p, dir); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	defer release()
	box, err := os.ReadFile(filepath.Join(dir, "usr", "bin", "busybox"))
	if os.IsNotExist(err) {
		box, err = os.ReadFile(filepath.Join(dir, "bin", "busybox"))
	}
	return box, err
}
