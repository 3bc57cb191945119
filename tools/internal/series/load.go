package series

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"cloudkernel/tools/internal/diag"
)

// Load reads the series in dir: the file series, and every patch it lists. Its
// error is a diag.List when the series itself is at fault: a patch listed
// twice or not there, a patch file that no line lists, a mail or a diff that
// cannot be parsed. If an export was interrupted at its last step, Load
// finishes it first.
func Load(dir string) (*Series, error) {
	var list diag.List
	unlock, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("read the series: %w", err)
	}
	defer unlock()
	file := filepath.Join(dir, "series")
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the series: %w", err)
	}
	s := &Series{Dir: dir, list: parseList(file, data, &list)}
	for i, l := range s.list.lines {
		if l.entry == "" {
			continue
		}
		p := &Patch{Name: l.entry, File: filepath.Join(dir, filepath.FromSlash(l.entry)), Line: i + 1}
		p.Topic, p.Number = splitName(p.Name)
		s.Patches = append(s.Patches, p)
	}

	faults := make([]diag.List, len(s.Patches))
	var group errgroup.Group
	group.SetLimit(8)
	for i, p := range s.Patches {
		group.Go(func() error {
			data, err := os.ReadFile(p.File)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				faults[i].Addf(file, p.Line, "%s is listed but not there", p.Name)
			case err != nil:
				return err
			default:
				parsePatch(p, data, &faults[i])
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("read the series: %w", err)
	}
	for _, f := range faults {
		list = append(list, f...)
	}
	if err := unlisted(s, &list); err != nil {
		return nil, fmt.Errorf("read the series: %w", err)
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// unlisted reports patch files that no line of the series file lists.
func unlisted(s *Series, list *diag.List) error {
	listed := map[string]bool{}
	for _, p := range s.Patches {
		listed[p.Name] = true
	}
	found, err := patchFiles(s.Dir)
	for _, name := range found {
		if !listed[name] {
			*list = append(*list, diag.Diag{File: filepath.Join(s.Dir, filepath.FromSlash(name)),
				Msg: "the series file does not list this patch", Hint: "list it in " + filepath.Join(s.Dir, "series") + ", or remove it"})
		}
	}
	return err
}

// patchFiles returns the names of all patch files in the topics' directories.
func patchFiles(dir string) ([]string, error) {
	topics, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range topics {
		if !t.IsDir() || strings.HasPrefix(t.Name(), ".") {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, t.Name()))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".patch") {
				names = append(names, t.Name()+"/"+f.Name())
			}
		}
	}
	return names, nil
}
