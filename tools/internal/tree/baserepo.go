package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cloudkernel/tools/internal/base"
	"cloudkernel/tools/internal/git"
	"cloudkernel/tools/internal/progress"
	"cloudkernel/tools/internal/store"
)

// keyOf turns a path into a name for the store.
func keyOf(path string) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:16])
}

// baseRepo returns a bare repository whose tag base is one commit of the base,
// from the store.
func baseRepo(ctx context.Context, st *store.Store, src *base.Source, out io.Writer) (string, func(), error) {
	wait := func() { fmt.Fprintln(out, "waiting for another kernlab to put the base into git") }
	return st.Get(ctx, "base-git", src.Digest, wait, func(dir string) error {
		repo := git.Repo{Dir: dir}
		if _, err := repo.Run(ctx, "init", "--quiet", "--bare", "."); err != nil {
			return err
		}
		files, err := src.Files()
		if err != nil {
			return fmt.Errorf("read the base: %w", err)
		}
		bar := progress.New(out, "put the base into git", "files", int64(len(files)))
		defer bar.Done()
		im := repo.Import(ctx)
		by := committer
		by.When = baseTime
		err = im.Commit("refs/heads/"+BaseTag, by, by, fmt.Sprintf("Linux %s\n\nsha256 of the source: %s\n", src.Version, src.Digest))
		for i := 0; err == nil && i < len(files); i++ {
			if err = ctx.Err(); err == nil {
				err = addFile(im, src.Dir, files[i])
			}
			bar.Add(1)
		}
		if err := im.End(err); err != nil {
			return err
		}
		_, err = repo.Run(ctx, "update-ref", "refs/tags/"+BaseTag, "refs/heads/"+BaseTag)
		if err == nil {
			_, err = repo.Run(ctx, "symbolic-ref", "HEAD", "refs/heads/"+BaseTag)
		}
		return err
	})
}

func addFile(im *git.Importer, dir string, f base.File) error {
	path := filepath.Join(dir, f.Name)
	var data []byte
	var err error
	switch mode := f.Info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		data = []byte(target)
	case mode.IsRegular():
		if data, err = os.ReadFile(path); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s is no file, directory or symbolic link", path)
	}
	return im.File(f.Name, f.Info.Mode(), data)
}
