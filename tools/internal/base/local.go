package base

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sync/errgroup"
)

// local returns the base in a tree or a tarball on this machine.
func (g *getter) local(ctx context.Context, path string) (*Source, func(), error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		var names []string
		for _, o := range g.pin.Sources {
			names = append(names, o.Name)
		}
		return nil, nil, fmt.Errorf("--base %s is neither a file or directory nor a source of kernel-patches/base (%s)", g.opt.Base, strings.Join(names, ", "))
	}
	if info.IsDir() {
		return g.localTree(ctx, path)
	}
	digest, err := hashFile(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	if g.opt.SHA256 != "" && g.opt.SHA256 != digest {
		return nil, nil, fmt.Errorf("%s has sha256 %s, --base-sha256 says %s", path, digest, g.opt.SHA256)
	}
	return g.entry(ctx, digest, "", func(dir string) error {
		return g.unpackFile(ctx, path, digest, dir, "file "+path)
	})
}

// localTree uses a tree where it lies.
func (g *getter) localTree(ctx context.Context, dir string) (*Source, func(), error) {
	version, err := readVersion(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, made := range []string{".config", "include/config", "arch/x86/include/generated", "arch/arm64/include/generated"} {
		if _, err := os.Lstat(filepath.Join(dir, made)); err == nil {
			return nil, nil, fmt.Errorf("%s was built in (it has %s): run `make mrproper` there, or give a clean tree", dir, made)
		}
	}
	digest, err := g.treeDigest(ctx, dir)
	if err != nil {
		return nil, nil, fmt.Errorf("read the tree %s: %w", dir, err)
	}
	return &Source{Dir: dir, Version: version, Digest: digest, From: "tree " + dir}, func() {}, nil
}

// treeDigest names the content of a tree: paths, modes and bytes. Reading
// 1.5 GB takes seconds, so the answer is kept in the store under what stat(2)
// says of every file.
func (g *getter) treeDigest(ctx context.Context, dir string) (string, error) {
	files, err := listTree(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, dir)
	for _, f := range files {
		fmt.Fprintf(h, "%s\x00%o\x00%d\x00%d\n", f.Name, f.Info.Mode(), f.Info.Size(), f.Info.ModTime().UnixNano())
	}
	entry, release, err := g.st.Get(ctx, "base-digest", hex.EncodeToString(h.Sum(nil)), nil, func(tmp string) error {
		digest, err := hashTree(ctx, dir, files)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tmp, "sha256"), []byte(digest), 0o644)
	})
	if err != nil {
		return "", err
	}
	defer release()
	digest, err := os.ReadFile(filepath.Join(entry, "sha256"))
	if err == nil && !digestRE.Match(digest) {
		err = fmt.Errorf("the store's entry %s is damaged; remove it", entry)
	}
	return string(digest), err
}

// A File is a file or a symbolic link of a source tree.
type File struct {
	Name string // slash-separated, relative to the tree
	Info fs.FileInfo
}

// Files lists the source's files and symbolic links by name, without what git
// keeps of it.
func (s *Source) Files() ([]File, error) { return listTree(s.Dir) }

func listTree(dir string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == ".git" && p != dir {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		files = append(files, File{filepath.ToSlash(rel), info})
		return err
	})
	sort.Slice(files, func(i, j int) bool { return files[i].Name < files[j].Name })
	return files, err
}

func hashTree(ctx context.Context, dir string, files []File) (string, error) {
	sums := make([][]byte, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i, f := range files {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			h := sha256.New()
			p := filepath.Join(dir, f.Name)
			kind := "file"
			switch mode := f.Info.Mode(); {
			case mode&fs.ModeSymlink != 0:
				target, err := os.Readlink(p)
				if err != nil {
					return err
				}
				kind = "link"
				io.WriteString(h, target)
			case mode.IsRegular():
				if mode&0o111 != 0 {
					kind = "exec"
				}
				in, err := os.Open(p)
				if err != nil {
					return err
				}
				defer in.Close()
				if _, err := io.Copy(h, in); err != nil {
					return err
				}
			default:
				return fmt.Errorf("%s is no file, directory or symbolic link", f.Name)
			}
			sums[i] = h.Sum([]byte(kind + "\x00" + f.Name + "\x00"))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	h := sha256.New()
	for _, s := range sums {
		h.Write(s)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
