package hotbuild

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// shadow is a private view of a kernel's source and build directory in which
// some files are replaced. Everything else is a symbolic link to the original,
// so making it costs only as much as the directories on the way to what is
// replaced have entries. Commands that kbuild recorded run in it unchanged,
// because its directories lie to each other as the originals do.
type shadow struct {
	k             *Kernel
	source, build string
	real          map[string]string // original directory → its stand-in
}

// newShadow makes a view below dir.
func newShadow(k *Kernel, dir string) (*shadow, error) {
	s := &shadow{k: k, real: map[string]string{}}
	s.source = filepath.Join(dir, "src")
	if err := s.mirror(k.Source, s.source); err != nil {
		return nil, err
	}
	if below, ok := strings.CutPrefix(k.Build+"/", k.Source+"/"); ok {
		s.build = filepath.Join(s.source, below)
		return s, s.directory(k.Build)
	}
	s.build = filepath.Join(dir, "build")
	return s, s.mirror(k.Build, s.build)
}

// mirror makes a directory whose entries are links to those of the original.
func (s *shadow) mirror(orig, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(orig)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Symlink(filepath.Join(orig, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	s.real[orig] = dir
	return nil
}

// directory makes an original directory, and those above it, real in the view.
func (s *shadow) directory(orig string) error {
	if s.real[orig] != "" {
		return nil
	}
	parent := filepath.Dir(orig)
	if parent == orig {
		return fmt.Errorf("%s is not part of the kernel's source", orig)
	}
	if err := s.directory(parent); err != nil {
		return err
	}
	dir := filepath.Join(s.real[parent], filepath.Base(orig))
	if err := os.Remove(dir); err != nil && !os.IsNotExist(err) {
		return err
	}
	if _, err := os.Stat(orig); os.IsNotExist(err) { // the patch adds it
		s.real[orig] = dir
		return os.MkdirAll(dir, 0o755)
	}
	return s.mirror(orig, dir)
}

// replace gives a source file other content; nil removes it.
func (s *shadow) replace(path string, content []byte) error {
	orig := filepath.Join(s.k.Source, path)
	if err := s.directory(filepath.Dir(orig)); err != nil {
		return fmt.Errorf("make a copy of %s: %w", path, err)
	}
	name := filepath.Join(s.real[filepath.Dir(orig)], filepath.Base(orig))
	// The link must go first, or the original would be written.
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return err
	}
	if content == nil {
		return nil
	}
	return os.WriteFile(name, content, 0o644)
}

// translate turns absolute paths in a word of a command into those of the view.
func (s *shadow) translate(word string) string {
	pairs := []string{s.k.Build + "/", s.build + "/", s.k.Source + "/", s.source + "/"}
	if len(s.k.Source) > len(s.k.Build) {
		pairs = []string{s.k.Source + "/", s.source + "/", s.k.Build + "/", s.build + "/"}
	}
	word = strings.NewReplacer(pairs...).Replace(word)
	for i := 0; i < len(pairs); i += 2 { // a directory named without a slash
		if dir := strings.TrimSuffix(pairs[i], "/"); strings.HasSuffix(word, dir) {
			return strings.TrimSuffix(word, dir) + strings.TrimSuffix(pairs[i+1], "/")
		}
	}
	return word
}

// escapes returns the touched files among deps (as the compiler wrote them,
// relative to the build directory) of which the original was read instead of
// the replacement: by way of a link and a path with "..".
func (s *shadow) escapes(deps []string, touched map[string]bool) []string {
	var list []string
	for _, d := range deps {
		if !filepath.IsAbs(d) {
			// Not filepath.Join, which would clean away "dir/.." without looking
			// where dir leads.
			d = s.build + "/" + d
		}
		p, err := filepath.EvalSymlinks(d)
		if err != nil {
			continue
		}
		if r := s.k.rel(p); r != "" && touched[r] && !strings.HasPrefix(p, s.source+"/") {
			list = append(list, r)
		}
	}
	return list
}
