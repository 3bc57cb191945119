package series

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sort"
	"strings"

	"cloudkernel/tools/internal/diag"
)

// Applied is what a series makes of a base: the files that differ from it.
type Applied struct {
	Files map[string]File // by slash-separated path

	// Moved tells of hunks that were found elsewhere than the patch says.
	// They apply, and an export would correct them.
	Moved diag.List
}

// File is the content of one file, or its absence.
type File struct {
	Data    []byte      // a symbolic link's target
	Mode    fs.FileMode // 0644, 0755, or fs.ModeSymlink|0777
	Deleted bool
}

// Digest names what the series makes of the base, in hex: paths, modes and
// bytes, and nothing of the mails that brought them.
func (a *Applied) Digest() string {
	return a.DigestOf(func(string) bool { return true })
}

// DigestOf is Digest of the files whose names keep wants.
func (a *Applied) DigestOf(keep func(name string) bool) string {
	names := make([]string, 0, len(a.Files))
	for n := range a.Files {
		if keep(n) {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	h := sha256.New()
	for _, n := range names {
		f := a.Files[n]
		fmt.Fprintf(h, "%q %o %t %d\n", n, uint32(f.Mode), f.Deleted, len(f.Data))
		h.Write(f.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Apply applies the series to a tree in memory. When something does not apply
// the error is a diag.List that names the patch, the file, the hunk and what
// was found there. A topic ends with its first patch that fails; topics that do
// not depend on it are tried all the same, so that one run lists everything.
func (s *Series) Apply(base fs.FS) (*Applied, error) {
	return s.ApplyEach(base, nil)
}

// ApplyEach is Apply that calls each after every patch with the files the
// patch changed. An error of each ends it and is returned as it is.
func (s *Series) ApplyEach(base fs.FS, each func(p *Patch, changed map[string]File) error) (*Applied, error) {
	st := newState(base, map[string]content{})
	applied := &Applied{Files: map[string]File{}}
	list, err := s.run(st, each, &applied.Moved)
	if err == nil {
		err = list.Err()
	}
	if err != nil {
		return nil, err
	}
	for name, f := range st.files {
		if f.known && (f.exists || f.inBase) {
			applied.Files[name] = f.file()
		}
	}
	return applied, nil
}

// run applies the patches to st and returns what does not apply.
func (s *Series) run(st *state, each func(p *Patch, changed map[string]File) error, moved *diag.List) (diag.List, error) {
	failed := map[string]bool{}
	needs := map[string][]string{}
	for _, t := range s.Topics() {
		needs[t] = s.DependsOn(t)
	}
	var list diag.List
	for _, p := range s.Patches {
		if failed[p.Topic] || slices.ContainsFunc(needs[p.Topic], func(t string) bool { return failed[t] }) {
			failed[p.Topic] = true
			continue
		}
		faults, err := st.applyPatch(p, moved)
		if err != nil {
			return nil, err
		}
		if len(faults) > 0 {
			failed[p.Topic] = true
			list = append(list, faults...)
			continue
		}
		if each == nil || len(list) > 0 {
			continue
		}
		changed := map[string]File{}
		for name, f := range st.last {
			changed[name] = f.file()
		}
		if err := each(p, changed); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// content is a file at one point of the series.
type content struct {
	known  bool // a patch wrote it; otherwise it is as in the base
	inBase bool
	exists bool
	mode   fs.FileMode
	lines  []string // with their line ends; the last one may have none
}

func (c content) file() File {
	if !c.exists {
		return File{Deleted: true}
	}
	return File{Data: []byte(strings.Join(c.lines, "")), Mode: c.mode}
}

// state is the tree as patches change it.
type state struct {
	base     fs.FS
	pristine map[string]content // files of the base, which several states may share
	files    map[string]content // what was read or written
	dirs     map[string]error   // whether a path can be a directory
	last     map[string]content // what the last patch wrote
}

func newState(base fs.FS, shared map[string]content) *state {
	return &state{base: base, pristine: shared, files: map[string]content{}, dirs: map[string]error{}}
}

// read returns a file as the patches so far left it.
func (st *state) read(name string) (content, error) {
	if c, ok := st.files[name]; ok {
		return c, nil
	}
	if err := st.checkParents(name); err != nil {
		return content{}, err
	}
	c, ok := st.pristine[name]
	if !ok {
		var err error
		if c, err = readBase(st.base, name); err != nil {
			return content{}, err
		}
		st.pristine[name] = c
	}
	st.files[name] = c
	return c, nil
}

// fault is an error of the patch, not of the machine.
type fault struct{ msg string }

func (f *fault) Error() string { return f.msg }

func readBase(base fs.FS, name string) (content, error) {
	info, err := fs.Lstat(base, name)
	if errors.Is(err, fs.ErrNotExist) {
		return content{}, nil
	}
	if err != nil {
		return content{}, fmt.Errorf("read the base: %w", err)
	}
	c := content{exists: true, inBase: true}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return content{}, &fault{name + " is a directory"}
	case mode&fs.ModeSymlink != 0:
		target, err := fs.ReadLink(base, name)
		if err != nil {
			return content{}, fmt.Errorf("read the base: %w", err)
		}
		c.mode, c.lines = fs.ModeSymlink|0o777, []string{target}
		return c, nil
	case mode&0o111 != 0:
		c.mode = 0o755
	default:
		c.mode = 0o644
	}
	data, err := fs.ReadFile(base, name)
	if err != nil {
		return content{}, fmt.Errorf("read the base: %w", err)
	}
	c.lines = splitLines(string(data))
	return c, nil
}

// checkParents refuses a path that leads through a file or a symbolic link.
func (st *state) checkParents(name string) error {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return nil
	}
	dir := name[:i]
	err, ok := st.dirs[dir]
	if !ok {
		if err = st.checkParents(dir); err == nil {
			info, lerr := fs.Lstat(st.base, dir)
			if lerr == nil && !info.IsDir() {
				err = &fault{dir + " is no directory"}
			} else if lerr != nil && !errors.Is(lerr, fs.ErrNotExist) {
				err = fmt.Errorf("read the base: %w", lerr)
			}
		}
		st.dirs[dir] = err
	}
	return err
}

func splitLines(s string) []string {
	lines := strings.SplitAfter(s, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// applyPatch applies one patch wholly or, when faults are returned, not at all.
func (st *state) applyPatch(p *Patch, moved *diag.List) (diag.List, error) {
	var faults, notes diag.List
	wrote := map[string]content{}
	leaves := map[string]bool{} // paths that the patch removes or renames
	for _, d := range p.Diffs {
		if d.IsDelete || d.IsRename {
			leaves[d.OldName] = true
		}
	}
	for _, d := range p.Diffs {
		err := st.applyDiff(p, d, wrote, leaves, &faults, &notes)
		var f *fault
		switch {
		case errors.As(err, &f):
			faults.Addf(p.File, d.Line, "%s", f.msg)
		case err != nil:
			return nil, fmt.Errorf("apply %s: %w", p.Name, err)
		}
	}
	if len(faults) > 0 {
		return faults, nil
	}
	maps.Copy(st.files, wrote)
	st.last = wrote
	*moved = append(*moved, notes...)
	return nil, nil
}

// applyDiff applies the diff of one file. Renames and copies take their source
// as it was before the patch, as git does.
func (st *state) applyDiff(p *Patch, d *FileDiff, wrote map[string]content, leaves map[string]bool, faults, notes *diag.List) error {
	var old content
	if d.IsNew {
		old = content{}
	} else {
		c, ok := wrote[d.OldName]
		if !ok || d.IsRename || d.IsCopy {
			var err error
			if c, err = st.read(d.OldName); err != nil {
				return err
			}
		}
		if !c.exists {
			return &fault{d.OldName + " does not exist"}
		}
		if old = c; d.OldMode != 0 {
			if want, _ := fileMode(d.OldMode); want.Type() != old.mode.Type() {
				return &fault{fmt.Sprintf("%s is %s, the patch expects %s", d.OldName, kindOf(old.mode), kindOf(want))}
			}
		}
	}
	if !d.IsDelete && d.NewName != d.OldName || d.IsNew {
		if err := st.checkFree(d.NewName, wrote, leaves); err != nil {
			return err
		}
	}
	lines, ok := applyHunks(p, d, old.lines, faults, notes)
	if !ok {
		return nil
	}
	if d.IsDelete && len(lines) > 0 {
		return &fault{fmt.Sprintf("%s is to be removed, but %d lines of it are not in the patch", d.OldName, len(lines))}
	}
	if d.IsDelete || d.IsRename {
		gone, err := st.read(d.OldName)
		if err != nil {
			return err
		}
		wrote[d.OldName] = content{known: true, inBase: gone.inBase}
	}
	if d.IsDelete {
		return nil
	}
	dst, err := st.read(d.NewName)
	if err != nil {
		return err
	}
	mode := old.mode
	if d.NewMode != 0 {
		mode, _ = fileMode(d.NewMode)
	}
	wrote[d.NewName] = content{known: true, inBase: dst.inBase, exists: true, mode: mode, lines: lines}
	return nil
}

// checkFree refuses to make a file where there is one that stays.
func (st *state) checkFree(name string, wrote map[string]content, leaves map[string]bool) error {
	c, ok := wrote[name]
	if !ok {
		var err error
		if c, err = st.read(name); err != nil {
			return err
		}
		if leaves[name] {
			c.exists = false
		}
	}
	if c.exists {
		return &fault{name + " already exists"}
	}
	for dir := name; ; {
		i := strings.LastIndexByte(dir, '/')
		if i < 0 {
			break
		}
		dir = dir[:i]
		if f, ok := st.files[dir]; ok && f.exists {
			return &fault{dir + " is no directory"}
		}
	}
	for n, f := range st.files {
		if f.exists && len(n) > len(name) && n[len(name)] == '/' && strings.HasPrefix(n, name) {
			return &fault{name + " is a directory"}
		}
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	if mode&fs.ModeSymlink != 0 {
		return "a symbolic link"
	}
	return "a regular file"
}
