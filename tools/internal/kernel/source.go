package kernel

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
)

// Source returns a reader of the source files of a request, named relative to
// the top of the kernel's tree: the base, with the series applied. It needs no
// lane, so nobody waits for it.
func (b *Builder) Source(ctx context.Context, r Request) (read func(file string) ([]byte, error), release func(), err error) {
	p, release, err := b.plan(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	read = func(file string) ([]byte, error) {
		if p.applied != nil {
			if f, ok := p.applied.Files[file]; ok {
				if f.Deleted {
					return nil, &fs.PathError{Op: "read", Path: file, Err: fs.ErrNotExist}
				}
				return f.Data, nil
			}
		}
		if !filepath.IsLocal(file) {
			return nil, &fs.PathError{Op: "read", Path: file, Err: fs.ErrInvalid}
		}
		return os.ReadFile(filepath.Join(p.base.Dir, filepath.FromSlash(file)))
	}
	return read, release, nil
}
