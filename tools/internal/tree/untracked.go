package tree

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// The .gitignore of Debian's kernel source ends with a pattern for everything
// at the top level, because Debian's own repository holds nothing but debian/.
// In a tree of the whole source it makes git silent about every new file, and
// a new file is what a developer forgets to add.
const ignoreAll = "/*"

// hidden lists the files that git ignores only for that pattern. It is empty
// where .gitignore has none.
func (t *Tree) hidden(ctx context.Context) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(t.Dir, ".gitignore"))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var others []string
	all := false
	for line := range strings.Lines(string(data)) {
		if strings.TrimSpace(line) == ignoreAll {
			all = true
			continue
		}
		others = append(others, line)
	}
	if !all {
		return nil, nil
	}
	f, err := os.CreateTemp("", "cloudkernel-gitignore-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(strings.Join(others, ""))
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	return t.repo.Lines(ctx, "ls-files", "--others", "--directory", "--no-empty-directory", "--exclude-from="+f.Name())
}
