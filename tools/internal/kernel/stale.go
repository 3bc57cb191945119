package kernel

import (
	"bufio"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

var compileCommand = regexp.MustCompile(` -c -o `)

// countObjects counts the compilations in the output of a dry run.
func countObjects(r io.Reader) int {
	n := 0
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), 16<<20)
	for sc.Scan() {
		if compileCommand.MatchString(sc.Text()) {
			n++
		}
	}
	_, _ = io.Copy(io.Discard, r)
	return n
}

// stale counts the objects in an output directory that are older than a file
// they were made from, by the .cmd files kbuild left beside them. It is what an
// incremental build has to compile, found without make's help in a second.
func stale(out string) int {
	mtimes := map[string]time.Time{}
	mtime := func(path string) time.Time {
		t, ok := mtimes[path]
		if !ok {
			if info, err := os.Stat(path); err == nil {
				t = info.ModTime()
			}
			mtimes[path] = t
		}
		return t
	}
	n := 0
	eachObject(out, func(object string, deps []string) {
		made := mtime(filepath.Join(out, object))
		for _, dep := range deps {
			if mtime(filepath.Join(out, dep)).After(made) {
				n++
				break
			}
		}
	})
	return n
}

// eachObject calls do for every object in an output directory that has a .cmd
// file, with its name there and the files it was made from. What cannot be read
// is passed over.
func eachObject(out string, do func(object string, deps []string)) {
	_ = filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), ".") || !strings.HasSuffix(d.Name(), ".o.cmd") {
			return nil
		}
		object, err := filepath.Rel(out, filepath.Join(filepath.Dir(path), strings.TrimSuffix(d.Name()[1:], ".cmd")))
		if err != nil {
			return nil
		}
		if data, err := os.ReadFile(path); err == nil {
			do(object, dependencies(data))
		}
		return nil
	})
}

// dependencies returns the files that a .cmd file says its object was made
// from, relative to the output directory, as kbuild wrote them.
func dependencies(cmd []byte) []string {
	var deps []string
	in := false
	for line := range strings.Lines(string(cmd)) {
		line = strings.TrimSpace(line)
		if name, rest, ok := strings.Cut(line, " := "); ok && (strings.HasPrefix(name, "source_") || strings.HasPrefix(name, "deps_")) {
			in, line = true, rest
		}
		if !in {
			continue
		}
		more := strings.HasSuffix(line, "\\")
		for _, f := range strings.Fields(strings.TrimSuffix(line, "\\")) {
			if f == "$(wildcard" {
				continue
			}
			deps = append(deps, strings.TrimSuffix(f, ")"))
		}
		in = more
	}
	return deps
}
