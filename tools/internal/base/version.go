package base

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

var makefileRE = regexp.MustCompile(`(?m)^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *=[ \t]*(\S*)[ \t]*$`)

// readVersion returns the release that a tree's top Makefile says it is.
func readVersion(dir string) (string, error) {
	path := filepath.Join(dir, "Makefile")
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s is no kernel source tree: %w", dir, err)
	}
	if i := bytes.Index(data, []byte("\nNAME ")); i > 0 {
		data = data[:i+1]
	}
	v := map[string]string{}
	for _, m := range makefileRE.FindAllSubmatch(data, -1) {
		v[string(m[1])] = string(m[2])
	}
	if v["VERSION"] == "" || v["PATCHLEVEL"] == "" || v["SUBLEVEL"] == "" {
		return "", fmt.Errorf("%s is no kernel source tree: its Makefile gives no VERSION, PATCHLEVEL and SUBLEVEL", dir)
	}
	return v["VERSION"] + "." + v["PATCHLEVEL"] + "." + v["SUBLEVEL"] + v["EXTRAVERSION"], nil
}
