package image

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
	"cloudkernel/tools/internal/progress"
)

// DiskType is the file system of a disk that Disk makes.
const DiskType = "ext4"

// recipe is raised when a disk of the same packages would come out different.
const recipe = 1

// Disk returns an image with packages, all they depend on, and what their
// maintainer scripts would have set up. It is made once for a set of packages
// and versions; which versions those are is asked of the archive once a day.
// release gives the file up; nobody may write to it.
func (m *Maker) Disk(ctx context.Context, a *arch.Arch, packages []string) (path string, release func(), err error) {
	packages = slices.Compact(slices.Sorted(slices.Values(packages)))
	for _, p := range packages {
		if !validPackage(p) {
			return "", nil, fmt.Errorf("%q is no name of a Debian package", p)
		}
	}
	list, err := m.versions(ctx, a, packages)
	if err != nil {
		return "", nil, err
	}
	key := fmt.Sprintf("%s-%s", a.Name, digest(fmt.Sprint(recipe), fileNames(list)))
	wait := func() {
		m.say("another kernlab is making the disk of %s; waiting for it", strings.Join(packages, ", "))
	}
	dir, release, err := m.Store.Get(ctx, "disk", key, wait, func(dir string) error {
		return m.makeDisk(ctx, a, packages, list, dir)
	})
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(dir, "root.img"), release, nil
}

// validPackage reports whether s is the name of a package (Debian policy,
// section 5.6.7), perhaps with a version ("=1.2-3") or release ("/stable").
func validPackage(s string) bool {
	name, _, _ := strings.Cut(s, "=")
	name, _, _ = strings.Cut(name, "/")
	return len(name) > 1 && name[0] != '-' && name[len(name)-1] != '-' &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

func digest(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%v\n", p)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12])
}

func fileNames(list []deb) []string {
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.File
	}
	return names
}

// versions returns the packages and everything they depend on, as the archive
// has them today.
func (m *Maker) versions(ctx context.Context, a *arch.Arch, packages []string) ([]deb, error) {
	day := time.Now().UTC().Format(time.DateOnly)
	key := fmt.Sprintf("%s-%s-%s", a.Name, day, digest(packages, os.Getenv("CLOUDKERNEL_DEBIAN_MIRROR")))
	dir, release, err := m.Store.Get(ctx, "packages", key, nil, func(dir string) error {
		ar, unlock, err := m.openArchive(ctx, a)
		if err != nil {
			return err
		}
		defer unlock()
		list, err := ar.resolve(ctx, packages)
		if err != nil {
			return err
		}
		data, err := json.MarshalIndent(list, "", "\t")
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "list.json"), data, 0o644)
	})
	if err != nil {
		return nil, err
	}
	defer release()
	data, err := os.ReadFile(filepath.Join(dir, "list.json"))
	if err != nil {
		return nil, err
	}
	var list []deb
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return list, nil
}

func (m *Maker) makeDisk(ctx context.Context, a *arch.Arch, packages []string, list []deb, dir string) error {
	debs, err := m.fetch(ctx, a, packages, list)
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	if err := skeleton(root); err != nil {
		return err
	}
	if err := m.extractAll(ctx, debs, root); err != nil {
		return err
	}
	if err := fixUp(ctx, a, debs, root); err != nil {
		return fmt.Errorf("set up the extracted packages: %w", err)
	}
	m.say("making the disk image of %d packages", len(debs))
	if err := makeExt4(ctx, root, filepath.Join(dir, "root.img")); err != nil {
		return err
	}
	manifest := strings.Join(fileNames(list), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "packages.txt"), []byte(manifest), 0o644); err != nil {
		return err
	}
	return os.RemoveAll(root)
}

// fetch returns the .deb files. The archive may have dropped a version since
// it was asked.
func (m *Maker) fetch(ctx context.Context, a *arch.Arch, packages []string, list []deb) ([]string, error) {
	ar, unlock, err := m.openArchive(ctx, a)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return ar.download(ctx, packages, list)
}

// skeleton makes a root with a merged /usr, before packages fill it.
func skeleton(root string) error {
	for _, d := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "dev", "proc", "sys", "run", "tmp", "root", "mnt", "var"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+d, filepath.Join(root, d)); err != nil {
			return err
		}
	}
	return os.Symlink("../run", filepath.Join(root, "var", "run"))
}

func (m *Maker) extractAll(ctx context.Context, debs []string, root string) error {
	bar := progress.New(m.progress(), "extract", "packages", int64(len(debs)))
	defer bar.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for _, d := range debs {
		g.Go(func() error {
			defer bar.Add(1)
			err := extract(ctx, d, root)
			if err != nil && ctx.Err() == nil {
				// apt takes a file of the right size for whole.
				_ = os.Remove(d)
				err = fmt.Errorf("%w; what was fetched is removed, so try again", err)
			}
			return err
		})
	}
	return g.Wait()
}

// makeExt4 makes an image from a tree. All of it is root's in the guest: for
// that, who is not root here makes it in a user namespace of its own.
func makeExt4(ctx context.Context, root, img string) error {
	size, files, err := measure(root)
	if err != nil {
		return err
	}
	// The inode table, bitmaps and directories come on top; what is not used
	// is a hole in the file.
	inodes := files + files/8 + 64
	blocks := (size+size/16)/1024 + inodes/4 + 8<<10
	conf := img + ".conf"
	if err := os.WriteFile(conf, []byte(mke2fsConf), 0o644); err != nil {
		return err
	}
	defer os.Remove(conf)
	run := func(namespace bool) error {
		cmd := proc.Command(ctx, "mke2fs", "-q", "-F", "-t", DiskType, "-b", "4096", "-m", "0", "-N", fmt.Sprint(inodes),
			"-U", "6b65726e-6c61-4b00-8000-000000000001", "-E", "hash_seed=6b65726e-6c61-4b00-8000-000000000002,root_owner=0:0",
			"-d", root, img, fmt.Sprintf("%dk", blocks))
		cmd.Env = append(os.Environ(), "LC_ALL=C", "E2FSPROGS_FAKE_TIME=1", "MKE2FS_CONFIG="+conf)
		if full := lookSbin("mke2fs"); cmd.Err != nil && full != "" {
			cmd.Path, cmd.Err = full, nil // not everybody's PATH has sbin
		}
		if namespace {
			cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		_, err := output(cmd)
		return err
	}
	err = run(os.Getuid() != 0)
	if errors.Is(err, os.ErrPermission) {
		// No user namespaces here: the files will be ours, by number, in the
		// guest too, which most programs do not mind.
		err = run(false)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return outcome.Errorf(outcome.Infra, "make the disk image with mke2fs (package e2fsprogs): %w", err)
	}
	return nil
}

// mke2fsConf stands in for the host's: the image is the same everywhere. It is
// only read, so it has no journal, and nothing of it needs a checksum.
const mke2fsConf = `[defaults]
	base_features = sparse_super,large_file,filetype,dir_index,ext_attr
	blocksize = 4096
	inode_size = 256
	lazy_itable_init = 1
[fs_types]
	ext4 = {
		features = extent,flex_bg,huge_file,dir_nlink,extra_isize
	}
`

// lookSbin finds a program where only root's PATH may look.
func lookSbin(name string) string {
	for _, d := range []string{"/usr/sbin", "/sbin"} {
		if _, err := os.Stat(d + "/" + name); err == nil {
			return d + "/" + name
		}
	}
	return ""
}

// measure returns the bytes of whole 4 KiB blocks that a tree takes, and how
// many files it has.
func measure(root string) (size, files int64, err error) {
	err = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		files++
		info, err := d.Info()
		if err != nil {
			return err
		}
		size += (info.Size() + 4095) &^ 4095
		return nil
	})
	return size, files, err
}
