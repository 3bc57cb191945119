package image

import (
	"context"
	"errors"

	"cloudkernel/tools/internal/arch"
)

// DiskType is the file system of a disk that Disk makes.
const DiskType = "ext4"

// Disk returns an image with packages and all they depend on.
func (m *Maker) Disk(ctx context.Context, a *arch.Arch, packages []string) (path string, release func(), err error) {
	return "", nil, errors.New("not yet")
}
