package hotbuild

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// Patch is one source patch: a mail of git format-patch, git diff, or plain
// unified diff.
type Patch struct {
	Name    string // of the file, for messages
	SHA256  string
	Subject string // of the mail, if it is one
	files   []*gitdiff.File
}

// ParsePatch reads a patch.
func ParsePatch(name string, data []byte) (*Patch, error) {
	files, preamble, err := gitdiff.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read %s: there is no patch in it", name)
	}
	sum := sha256.Sum256(data)
	p := &Patch{Name: path.Base(name), SHA256: hex.EncodeToString(sum[:]), files: files}
	if h, err := gitdiff.ParsePatchHeader(preamble); err == nil && h != nil {
		p.Subject = h.Title
	}
	return p, nil
}

// change is what patches do to one file.
type change struct {
	path    string   // below the source directory
	lines   [][]byte // the new content, with line ends
	origin  []int    // for each line its number in the original, 0 for a new one
	added   bool     // the file is new
	deleted bool
}

// text returns the new content.
func (c *change) text() []byte { return bytes.Join(c.lines, nil) }

// reader returns the content of a source file.
type reader func(path string) ([]byte, error)

// applyPatches applies patches one after the other. Hunks must match exactly;
// one that matches in just one other place is applied there.
func applyPatches(read reader, patches []*Patch) (map[string]*change, error) {
	changes := map[string]*change{}
	for _, p := range patches {
		for _, f := range p.files {
			if err := applyFile(read, changes, f); err != nil {
				return nil, fmt.Errorf("apply %s: %w", p.Name, err)
			}
		}
	}
	return changes, nil
}

func applyFile(read reader, changes map[string]*change, f *gitdiff.File) error {
	switch {
	case f.IsBinary:
		return fmt.Errorf("%s is binary: a hotpatch changes code; leave that file out of the patch", f.NewName)
	case f.IsRename || f.IsCopy:
		return fmt.Errorf("%s is renamed or copied from %s: keep files where they are in a hotpatch", f.NewName, f.OldName)
	}
	if f.IsNew {
		name := f.NewName
		if !fs.ValidPath(name) {
			return fmt.Errorf("%q is not a path below the source directory", name)
		}
		if changes[name] != nil {
			return fmt.Errorf("%s is added twice", name)
		}
		changes[name] = &change{path: name, added: true}
		return applyFragments(changes[name], f)
	}
	c, err := open(read, changes, f)
	if err != nil {
		return err
	}
	if f.IsDelete {
		c.deleted = true
	}
	return applyFragments(c, f)
}

// open returns the file that a patch means, as patches before it left it.
func open(read reader, changes map[string]*change, f *gitdiff.File) (*change, error) {
	var err error
	for _, name := range candidates(f) {
		if c := changes[name]; c != nil {
			if c.deleted {
				return nil, fmt.Errorf("%s was deleted before", name)
			}
			return c, nil
		}
		var data []byte
		if data, err = read(name); err != nil {
			continue
		}
		c := &change{path: name, lines: splitLines(data)}
		for i := range c.lines {
			c.origin = append(c.origin, i+1)
		}
		changes[name] = c
		return c, nil
	}
	return nil, fmt.Errorf("there is no file %s in this kernel's source: %w", f.OldName, err)
}

// candidates returns the names a patched file may have below the source
// directory: as git gives it, and with the first directory taken away as
// "patch -p1" does.
func candidates(f *gitdiff.File) []string {
	var list []string
	add := func(n string) {
		if n != "" && fs.ValidPath(n) && n != "." {
			list = append(list, n)
		}
	}
	for _, n := range []string{f.OldName, f.NewName} {
		add(n)
		_, rest, _ := strings.Cut(n, "/")
		add(rest)
	}
	return list
}

// splitLines splits a file into lines with their ends.
func splitLines(data []byte) [][]byte {
	var lines [][]byte
	for l := range bytes.Lines(data) {
		lines = append(lines, l)
	}
	return lines
}

func applyFragments(c *change, f *gitdiff.File) error {
	shift, from := 0, 0
	for i, h := range f.TextFragments {
		var old [][]byte
		for _, l := range h.Lines {
			if l.Op != gitdiff.OpAdd {
				old = append(old, []byte(l.Line))
			}
		}
		want := int(h.OldPosition) - 1 + shift
		if h.OldLines == 0 {
			want++ // "after line N"
		}
		at, err := locate(c.lines, old, max(want, 0), from)
		if err != nil {
			return fmt.Errorf("%s: hunk %d (%s): %w", c.path, i+1, strings.TrimSpace(h.Header()), err)
		}
		shift += at - want + int(h.LinesAdded-h.LinesDeleted)
		from = c.splice(at, h)
	}
	return nil
}

// splice applies a hunk at line index at, and returns the index after it.
func (c *change) splice(at int, h *gitdiff.TextFragment) int {
	var lines [][]byte
	var origin []int
	k := at
	for _, l := range h.Lines {
		switch l.Op {
		case gitdiff.OpContext:
			lines, origin = append(lines, c.lines[k]), append(origin, c.origin[k])
			k++
		case gitdiff.OpDelete:
			k++
		case gitdiff.OpAdd:
			lines, origin = append(lines, []byte(l.Line)), append(origin, 0)
		}
	}
	c.lines = append(append(append([][]byte{}, c.lines[:at]...), lines...), c.lines[k:]...)
	c.origin = append(append(append([]int{}, c.origin[:at]...), origin...), c.origin[k:]...)
	return at + len(lines)
}

// locate returns where old stands in lines: at index want, or else in the only
// place from index from on.
func locate(lines, old [][]byte, want, from int) (int, error) {
	matches := func(at int) bool {
		if at < 0 || at+len(old) > len(lines) {
			return false
		}
		for i, o := range old {
			if !bytes.Equal(bytes.TrimSuffix(lines[at+i], []byte("\n")), bytes.TrimSuffix(o, []byte("\n"))) {
				return false
			}
		}
		return true
	}
	if matches(want) {
		return want, nil
	}
	found := -1
	if len(old) > 0 {
		for at := from; at+len(old) <= len(lines); at++ {
			if !matches(at) {
				continue
			}
			if found >= 0 {
				return 0, fmt.Errorf("its text is not at line %d, and stands in two other places (lines %d and %d)", want+1, found+1, at+1)
			}
			found = at
		}
	}
	if found >= 0 {
		return found, nil
	}
	// Say what differs, at the line where it should be.
	for i, o := range old {
		if k := want + i; k >= len(lines) || !bytes.Equal(bytes.TrimRight(lines[k], "\n"), bytes.TrimRight(o, "\n")) {
			have := "the file ends"
			if k < len(lines) {
				have = fmt.Sprintf("there is %q", bytes.TrimRight(lines[k], "\n"))
			}
			return 0, fmt.Errorf("line %d should be %q, but %s; the patch is not for this kernel's source", k+1, bytes.TrimRight(o, "\n"), have)
		}
	}
	return 0, fmt.Errorf("its text is not in the file")
}
