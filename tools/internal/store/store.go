// Package store keeps things that are expensive to make, by the name of what
// they were made from. An entry is a directory. It is made once even when
// several processes ask for it at the same time, and it is either whole or not
// there: a killed maker leaves nothing that looks like an entry.
//
// Layout of a store's directory:
//
//	<kind>/<key>/        a whole entry; never written to again
//	<kind>/<key>.lock    flock(2): shared by readers of the entry, exclusive to make or remove it
//	<kind>/.tmp-*        an entry being made; leftovers are removed by GC
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// Store is a directory of entries.
type Store struct{ dir string }

// Open returns the store in dir, which is made when the first entry is.
func Open(dir string) *Store { return &Store{dir: dir} }

// DefaultDir returns the directory of the user's store: $CLOUDKERNEL_CACHE, or
// cloudkernel in the user's cache directory.
func DefaultDir() (string, error) {
	if dir := os.Getenv("CLOUDKERNEL_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w; set CLOUDKERNEL_CACHE", err)
	}
	return filepath.Join(dir, "cloudkernel"), nil
}

// Dir returns the store's directory.
func (s *Store) Dir() string { return s.dir }

// Get returns the directory of the entry key of a kind, and makes it first
// with fill if it is not there. fill is given an empty directory; when it
// returns an error the directory is removed and the entry does not come to be.
//
// A second process that asks for an entry being made waits for it; wait, if not
// nil, is called once before the waiting starts. The entry is protected from
// removal until release is called.
func (s *Store) Get(ctx context.Context, kind, key string, wait func(), fill func(dir string) error) (dir string, release func(), err error) {
	if err := checkName(kind, key); err != nil {
		return "", nil, err
	}
	base := filepath.Join(s.dir, kind)
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", nil, err
	}
	dir = filepath.Join(base, key)
	for {
		lock := flock.New(dir + ".lock")
		if err := acquire(ctx, lock.TryRLock, nil); err != nil {
			return "", nil, fmt.Errorf("lock %s %s: %w", kind, key, err)
		}
		if exists(dir) {
			now := time.Now()
			_ = os.Chtimes(dir, now, now) // GC removes what was used longest ago
			return dir, func() { _ = lock.Close() }, nil
		}
		_ = lock.Close()
		if err := s.fill(ctx, dir, wait, fill); err != nil {
			return "", nil, err
		}
	}
}

func (s *Store) fill(ctx context.Context, dir string, wait func(), fill func(string) error) error {
	lock := flock.New(dir + ".lock")
	if err := acquire(ctx, lock.TryLock, wait); err != nil {
		return fmt.Errorf("lock %s: %w", filepath.Base(dir), err)
	}
	defer lock.Close()
	if exists(dir) {
		return nil // somebody else made it while we waited
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".tmp-"+filepath.Base(dir)+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// Lock takes an exclusive lock on a name that is no entry, for work in place
// such as an incremental build directory. wait is called once if another
// process holds the lock.
func (s *Store) Lock(ctx context.Context, kind, name string, wait func()) (release func(), err error) {
	if err := checkName(kind, name); err != nil {
		return nil, err
	}
	base := filepath.Join(s.dir, kind)
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(base, name+".lock"))
	if err := acquire(ctx, lock.TryLock, wait); err != nil {
		return nil, fmt.Errorf("lock %s %s: %w", kind, name, err)
	}
	return func() { _ = lock.Close() }, nil
}

// Entry describes one entry of a store.
type Entry struct {
	Kind, Key string
	Dir       string
	Size      int64 // bytes of disk, hard links counted once
	Used      time.Time
}

// List returns the entries, the one used last first.
func (s *Store) List() ([]Entry, error) {
	kinds, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, k := range kinds {
		if !k.IsDir() {
			continue
		}
		keys, err := os.ReadDir(filepath.Join(s.dir, k.Name()))
		if err != nil {
			return nil, err
		}
		for _, e := range keys {
			if !e.IsDir() || strings.HasPrefix(e.Name(), ".tmp-") {
				continue
			}
			dir := filepath.Join(s.dir, k.Name(), e.Name())
			info, err := e.Info()
			if err != nil {
				continue // removed meanwhile
			}
			list = append(list, Entry{Kind: k.Name(), Key: e.Name(), Dir: dir, Size: diskSize(dir), Used: info.ModTime()})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Used.After(list[j].Used) })
	return list, nil
}

// GC removes the leftovers of killed makers, and the entries for which drop
// returns true unless a process is using them. It returns what it removed.
func (s *Store) GC(drop func(Entry) bool) ([]Entry, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	var gone []Entry
	for _, e := range list {
		if !drop(e) {
			continue
		}
		ok, err := s.remove(e.Dir)
		if err != nil {
			return gone, err
		}
		if ok {
			gone = append(gone, e)
		}
	}
	return gone, s.removeLeftovers()
}

func (s *Store) remove(dir string) (bool, error) {
	lock := flock.New(dir + ".lock")
	ok, err := lock.TryLock()
	if err != nil || !ok {
		return false, err
	}
	defer lock.Close()
	// Renamed first, so that a half-removed entry never looks whole.
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".tmp-gc-")
	if err != nil {
		return false, err
	}
	if err := os.Rename(dir, filepath.Join(tmp, "entry")); err != nil {
		return false, err
	}
	return true, removeAll(tmp)
}

// removeLeftovers removes temporary directories whose maker holds no lock.
func (s *Store) removeLeftovers() error {
	tmps, err := filepath.Glob(filepath.Join(s.dir, "*", ".tmp-*"))
	if err != nil {
		return err
	}
	for _, tmp := range tmps {
		name := strings.TrimPrefix(filepath.Base(tmp), ".tmp-")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
		lock := flock.New(filepath.Join(filepath.Dir(tmp), name+".lock"))
		if ok, err := lock.TryLock(); err != nil || !ok {
			continue
		}
		err := removeAll(tmp)
		_ = lock.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// removeAll removes a tree that may hold read-only directories.
func removeAll(dir string) error {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o755)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// acquire polls try until it holds the lock: flock(2) itself cannot be
// interrupted by a context.
func acquire(ctx context.Context, try func() (bool, error), wait func()) error {
	for {
		ok, err := try()
		if err != nil || ok {
			return err
		}
		if wait != nil {
			wait()
			wait = nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func checkName(kind, key string) error {
	for _, n := range []string{kind, key} {
		if n == "" || n[0] == '.' || strings.ContainsAny(n, "/\x00") {
			return fmt.Errorf("store: bad name %q", n)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func diskSize(dir string) int64 {
	var total int64
	seen := map[uint64]bool{}
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || (st.Nlink > 1 && !d.IsDir() && seen[st.Ino]) {
			return nil
		}
		seen[st.Ino] = true
		total += st.Blocks * 512
		return nil
	})
	return total
}
