package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"cloudkernel/tools/internal/series"
	"cloudkernel/tools/internal/store"
)

// manifestFile lists, in a lane, the files that differ from the base. It is
// written before the files are, with those of the old and the new state, so a
// killed sync is carried on by the next one.
const manifestFile = ".cloudkernel-files"

// openLane locks a lane and brings its source to base + applied. applied is nil
// for the plain base. The lane is locked until release is called.
func openLane(ctx context.Context, st *store.Store, name, base string, applied *series.Applied, wait func()) (dir string, release func(), err error) {
	release, err = st.Lock(ctx, "lane", name, wait)
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	dir = filepath.Join(st.Dir(), "lane", name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := plant(base, dir); err != nil {
			return "", nil, fmt.Errorf("make the source tree %s: %w", dir, err)
		}
	}
	if err := syncLane(dir, base, applied); err != nil {
		return "", nil, fmt.Errorf("bring %s to the series: %w", dir, err)
	}
	return dir, release, nil
}

// plant makes dir a tree of hard links to the files of base.
func plant(base, dir string) (err error) {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".tmp-"+filepath.Base(dir)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(tmp)
		}
	}()
	err = filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(base, path)
		if err != nil || rel == "." {
			return err
		}
		to := filepath.Join(tmp, rel)
		switch {
		case d.IsDir():
			return os.Mkdir(to, 0o755)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, to)
		}
		return link(path, to)
	})
	if err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// link makes to a hard link of from, or a copy where the file system allows no
// more links or the two lie on different ones.
func link(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}

// syncLane changes the files of dir, and only those whose content differs, so
// that dir is base with applied on top. A file is always replaced by a new one:
// writing in place would write through the hard link into the base.
func syncLane(dir, base string, applied *series.Applied) error {
	old, err := readManifest(dir)
	if err != nil {
		return err
	}
	files := map[string]series.File{}
	if applied != nil {
		files = applied.Files
	}
	all := map[string]bool{}
	for _, p := range old {
		all[p] = true
	}
	for p := range files {
		all[p] = true
	}
	if len(all) == 0 {
		return nil
	}
	if err := writeManifest(dir, all); err != nil {
		return err
	}
	keep := map[string]bool{}
	for path := range all {
		to := filepath.Join(dir, filepath.FromSlash(path))
		f, changed := files[path]
		switch {
		case changed && f.Deleted:
			err = removeFile(dir, to)
		case changed:
			err = putFile(to, f.Data, f.Mode)
		default:
			err = restoreFile(dir, filepath.Join(base, filepath.FromSlash(path)), to)
		}
		if err != nil {
			return err
		}
		if changed {
			keep[path] = true
		}
	}
	return writeManifest(dir, keep)
}

func putFile(to string, data []byte, mode fs.FileMode) error {
	perm := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		perm = 0o755
	}
	if have, err := os.ReadFile(to); err == nil && bytes.Equal(have, data) {
		if info, err := os.Stat(to); err == nil && info.Mode().Perm()&0o111 == perm&0o111 {
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	tmp := to + ".cloudkernel-new"
	if err := os.WriteFile(tmp, data, perm); err != nil {
		return err
	}
	if err := os.Chmod(tmp, perm); err != nil {
		return err
	}
	return os.Rename(tmp, to)
}

// restoreFile puts the base's file back, with its content as a new file: the
// base's old time stamp would tell make that nothing happened.
func restoreFile(dir, from, to string) error {
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return removeFile(dir, to)
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return putFile(to, data, info.Mode())
}

// removeFile removes a file and the directories below dir it leaves empty.
func removeFile(dir, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for d := filepath.Dir(path); d != dir; d = filepath.Dir(d) {
		if os.Remove(d) != nil {
			break
		}
	}
	return nil
}

func readManifest(dir string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, manifestFile), err)
	}
	return list, nil
}

func writeManifest(dir string, paths map[string]bool) error {
	list := make([]string, 0, len(paths))
	for p := range paths {
		list = append(list, p)
	}
	sort.Strings(list)
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, manifestFile+".new")
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, manifestFile))
}
