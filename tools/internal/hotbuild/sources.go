package hotbuild

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Sources returns the C files that the running kernel's objects were compiled
// from, as paths below the source directory.
func (k *Kernel) Sources() ([]string, error) {
	seen := map[string]bool{}
	err := filepath.WalkDir(k.Build, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".o.cmd") {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		c, err := parseCmd(data)
		if err != nil {
			return nil // not compiled: linked, or copied
		}
		if cl, _ := classify(c); cl == classObject {
			if s := k.rel(c.source); s != "" {
				seen[s] = true
			}
		}
		return nil
	})
	var list []string
	for s := range seen {
		list = append(list, s)
	}
	sort.Strings(list)
	return list, err
}
