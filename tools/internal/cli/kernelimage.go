package cli

import (
	"context"
	"errors"

	"cloudkernel/tools/internal/arch"
)

// buildKernelImage builds the series' kernel for a and returns its image.
// release gives it up.
func buildKernelImage(ctx context.Context, a *app, arch *arch.Arch) (path string, release func(), err error) {
	return "", func() {}, usageError{errors.New("name the kernel to boot with --kernel")}
}
