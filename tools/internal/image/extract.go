package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"cloudkernel/tools/internal/proc"
)

// extract unpacks the files of a Debian package below dir; nothing of it is
// run. Symbolic links that stand for directories (/bin → usr/bin) are kept.
func extract(ctx context.Context, debFile, dir string) error {
	name := filepath.Base(debFile)
	unpack := proc.Command(ctx, "dpkg-deb", "--fsys-tarfile", debFile)
	tar := proc.Command(ctx, "tar", "-x", "-C", dir, "--keep-directory-symlink", "--numeric-owner", "--no-same-owner", "--preserve-permissions")
	pipe, err := unpack.StdoutPipe()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	tar.Stdin, tar.Stderr = pipe, &text
	var debText bytes.Buffer
	unpack.Stderr = &debText
	if err := unpack.Start(); err != nil {
		return fmt.Errorf("extract %s: %w", name, missing(err, "dpkg-deb"))
	}
	tarErr := missing(tar.Run(), "tar")
	// The reader is gone: dpkg-deb must not wait for it.
	_ = pipe.Close()
	err = unpack.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case tarErr != nil:
		return fmt.Errorf("extract %s: tar: %s (%w)", name, strings.TrimSpace(text.String()), tarErr)
	case errors.As(err, &exit):
		return fmt.Errorf("extract %s: %s (%w)", name, strings.TrimSpace(debText.String()), err)
	}
	return err
}
