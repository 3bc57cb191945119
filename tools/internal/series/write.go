package series

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/diag"
)

// New is a patch to be written.
type New struct {
	Topic   string
	Subject string
	Data    []byte
}

// Change says what Write did, in names of patch files.
type Change struct {
	Written []string `json:"written"`
	Removed []string `json:"removed"`
	Kept    int      `json:"kept"` // patches that were as they should be
}

// Parse parses a patch from the bytes of its file. name is what diagnostics
// call it.
func Parse(name string, data []byte) (*Patch, error) {
	var list diag.List
	p := &Patch{Name: name, File: name}
	p.Topic, p.Number = splitName(name)
	parsePatch(p, data, &list)
	if err := list.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// Write makes the patch files of s those given, numbered and named in their
// order, and rewrites the series file with its comments. Files that are right
// already are not touched.
//
// A reader, or a later Load after a crash, sees the series either as it was or
// as it is to be: everything is staged in a directory whose renaming is the
// point of no return, and Load finishes what was staged.
func (s *Series) Write(patches []New) (*Change, error) {
	unlock, err := lockDir(s.Dir, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := finish(s.Dir); err != nil {
		return nil, err
	}
	if err := s.unchanged(); err != nil {
		return nil, err
	}
	files, names, err := s.layout(patches)
	if err != nil {
		return nil, err
	}
	change := &Change{Written: []string{}, Removed: []string{}}
	for _, name := range names {
		old, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err == nil && bytes.Equal(old, files[name]) {
			delete(files, name)
			change.Kept++
		} else if err == nil || errors.Is(err, fs.ErrNotExist) {
			change.Written = append(change.Written, name)
		} else {
			return nil, err
		}
	}
	if old, err := os.ReadFile(filepath.Join(s.Dir, "series")); err == nil && bytes.Equal(old, files["series"]) {
		delete(files, "series")
	}
	stay := map[string]bool{}
	for _, n := range names {
		stay[n] = true
	}
	for _, p := range s.list.lines {
		if p.entry != "" && !stay[p.entry] {
			change.Removed = append(change.Removed, p.entry)
		}
	}
	if len(files) == 0 && len(change.Removed) == 0 {
		return change, nil
	}
	if err := stage(s.Dir, files, change.Removed); err != nil {
		return nil, err
	}
	return change, finish(s.Dir)
}

// unchanged refuses to write over patch files that changed since s was loaded.
func (s *Series) unchanged() error {
	for _, p := range s.Patches {
		now, err := os.ReadFile(p.File)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, p.Data) {
			return fmt.Errorf("%s changed while the series was being exported; try again", p.File)
		}
	}
	return nil
}

// layout names the patches and returns their files, the series file among
// them, and the names in order.
func (s *Series) layout(patches []New) (map[string][]byte, []string, error) {
	files := map[string][]byte{}
	var names []string
	count := map[string]int{}
	for _, p := range patches {
		if !topicRE.MatchString(p.Topic) {
			return nil, nil, fmt.Errorf("%q: %q is no topic: want lower-case words joined by '-'", p.Subject, p.Topic)
		}
		count[p.Topic]++
		name := FileName(p.Topic, count[p.Topic], p.Subject)
		if msg := faultOfName(name); msg != "" {
			return nil, nil, fmt.Errorf("%q: %s", p.Subject, msg)
		}
		files[name] = p.Data
		names = append(names, name)
	}
	files["series"] = s.rewriteList(patches, names)
	return files, names, nil
}

// The directories in which an export is staged. The second name means that it
// is complete and must be finished.
const (
	staging   = ".export.tmp"
	committed = ".export"
	removals  = "removed" // file that lists what goes
	writes    = "files"   // directory of what comes
)

// stage writes files and removals below dir/.export, or nothing at all.
func stage(dir string, files map[string][]byte, removed []string) error {
	tmp := filepath.Join(dir, staging)
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.MkdirAll(filepath.Join(tmp, writes), 0o755); err != nil {
		return err
	}
	for name, data := range files {
		path := filepath.Join(tmp, writes, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(tmp, removals), []byte(strings.Join(removed, "\n")), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, committed))
}

// finish moves what stands in dir/.export to its place: patches, then the
// series file that lists them; last it removes what is listed no more. Done
// again after it was interrupted, it goes on where it stopped.
func finish(dir string) error {
	from := filepath.Join(dir, committed)
	gone, err := os.ReadFile(filepath.Join(from, removals))
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(from) // nothing, or finished up to this
	}
	if err != nil {
		return err
	}
	var names []string
	root := filepath.Join(from, writes)
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, p)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		return err
	}
	sort.Slice(names, func(i, j int) bool { // the series file last
		if (names[i] == "series") != (names[j] == "series") {
			return names[j] == "series"
		}
		return names[i] < names[j]
	})
	for _, n := range names {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, n)), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(root, n), filepath.Join(dir, n)); err != nil {
			return err
		}
	}
	for _, n := range strings.Fields(string(gone)) {
		if faultOfName(n) != "" {
			continue
		}
		if err := os.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_ = os.Remove(filepath.Dir(filepath.Join(dir, n))) // the topic, if that was its last file
	}
	if err := os.Remove(filepath.Join(from, removals)); err != nil {
		return err
	}
	return os.RemoveAll(from)
}

// lockDir takes a flock(2) on a directory. A file system that has no locks does
// without.
func lockDir(dir string, how int) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil && !errors.Is(err, unix.ENOLCK) && !errors.Is(err, unix.EOPNOTSUPP) {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

// open locks the series for reading, after finishing an export that was
// interrupted.
func open(dir string) (unlock func(), err error) {
	if _, err := os.Lstat(filepath.Join(dir, committed)); err == nil {
		unlock, err := lockDir(dir, unix.LOCK_EX)
		if err != nil {
			return nil, err
		}
		err = finish(dir)
		unlock()
		if err != nil {
			return nil, fmt.Errorf("finish an interrupted export: %w", err)
		}
	}
	return lockDir(dir, unix.LOCK_SH)
}
