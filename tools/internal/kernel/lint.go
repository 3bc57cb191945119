package kernel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/outcome"
)

// Lint is what the compiler with kbuild's W=1, and sparse, say of the lines
// that a series wrote.
type Lint struct {
	Objects  int       // compiled for it
	Unseen   []string  // C files of the series that nothing of this configuration is made from
	Findings diag.List // file and line of the patched source
}

// Lint builds the kernel of a request in its lane, and compiles once more, with
// all that W=1 adds and under sparse, what is made from the C files that the
// series touches. Of what is said then, the lines that the base has too are no
// concern of the series.
func (b *Builder) Lint(ctx context.Context, r Request) (*Lint, error) {
	if _, err := exec.LookPath("sparse"); err != nil {
		return nil, outcome.Errorf(outcome.Infra, "sparse is not installed; 'apt-get install sparse' installs it")
	}
	p, done, err := b.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	defer done()
	if p.applied == nil {
		return nil, errors.New("the plain base has no lines of the series")
	}
	k, release, err := b.open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer release()
	defer k.log.Close()
	stamp := filepath.Join(k.out, stampFile)
	if have, _ := os.ReadFile(stamp); string(have) != p.key {
		if _, err := b.compile(ctx, p, k); err != nil {
			return nil, err
		}
	}
	wrote, err := p.wrote()
	if err != nil {
		return nil, err
	}
	objects, unseen := dependents(k.out, wrote, k.arch.SrcArch)
	l := &Lint{Unseen: unseen}
	if len(objects) == 0 {
		return l, nil
	}
	// What is recorded of these objects is then how they were made for this.
	if err := os.Remove(stamp); err != nil {
		return nil, err
	}
	start, err := k.log.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	if l.Objects, err = k.run(ctx, b.Err, "lint "+p.req.String(), len(objects), append([]string{"W=1", "C=2"}, objects...)...); err != nil {
		return nil, err
	}
	log, err := os.Open(k.log.Name())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if _, err := log.Seek(start, io.SeekStart); err != nil {
		return nil, err
	}
	l.Findings = complaints(log, wrote)
	return l, nil
}

// lineSet is a set of line numbers.
type lineSet map[int]bool

// wrote returns the lines of the kernel's C sources that the base does not have,
// by file.
func (p *plan) wrote() (map[string]lineSet, error) {
	all := map[string]lineSet{}
	for name, f := range p.applied.Files {
		ext := path.Ext(name)
		if f.Deleted || ext != ".c" && ext != ".h" || !inKernel(name) {
			continue
		}
		old, err := os.ReadFile(filepath.Join(p.base.Dir, filepath.FromSlash(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		all[name] = added(old, f.Data)
	}
	return all, nil
}

var hunkStart = regexp.MustCompile(`^@@ -\d+(?:,\d+)? \+(\d+)`)

// added returns the numbers of the lines of new that old does not have.
func added(old, new []byte) lineSet {
	set := lineSet{}
	n := 0 // 0 before the first hunk
	for line := range strings.Lines(string(diff.Diff("old", old, "new", new))) {
		if m := hunkStart.FindStringSubmatch(line); m != nil {
			n, _ = strconv.Atoi(m[1])
			continue
		}
		if n == 0 {
			continue
		}
		switch line[0] {
		case '+':
			set[n] = true
			n++
		case ' ':
			n++
		}
	}
	return set
}

// dependents returns the objects in an output directory that are made from C
// files of a set, and those of the files that none is made from. One object
// for each file is enough: some are compiled several times.
func dependents(out string, files map[string]lineSet, srcArch string) (objects, unseen []string) {
	made := map[string]string{}
	_ = filepath.WalkDir(out, func(p string, d fs.DirEntry, err error) error {
		name := d.Name()
		if err != nil || d.IsDir() || !strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".o.cmd") {
			return nil
		}
		object, err := filepath.Rel(out, filepath.Join(filepath.Dir(p), strings.TrimSuffix(name[1:], ".cmd")))
		if err != nil {
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return nil
		}
		for _, dep := range dependencies(data) {
			dep = nameOf(dep)
			if files[dep] == nil || path.Ext(dep) != ".c" {
				continue
			}
			own := strings.TrimSuffix(dep, ".c") + ".o"
			if have := made[dep]; have == "" || have != own && (object == own || object < have) {
				made[dep] = object
			}
		}
		return nil
	})
	for f := range files {
		if path.Ext(f) != ".c" {
			continue
		}
		if o := made[f]; o != "" {
			objects = append(objects, o)
		} else if !strings.HasPrefix(f, "arch/") || strings.HasPrefix(f, "arch/"+srcArch+"/") {
			unseen = append(unseen, f)
		}
	}
	slices.Sort(objects)
	slices.Sort(unseen)
	return slices.Compact(objects), unseen
}

// complaint is a line of gcc's or of sparse's.
var complaint = regexp.MustCompile(`^(\S+?):(\d+):(?:\d+:)? ((?:warning|error): .*)$`)

// complaints returns what a log says of lines, each once.
func complaints(log io.Reader, of map[string]lineSet) diag.List {
	var list diag.List
	seen := map[string]bool{}
	sc := bufio.NewScanner(log)
	sc.Buffer(make([]byte, 64<<10), 4<<20)
	for sc.Scan() {
		m := complaint.FindStringSubmatch(sc.Text())
		if m == nil {
			continue
		}
		file := nameOf(m[1])
		line, _ := strconv.Atoi(m[2])
		if key := fmt.Sprint(file, line, m[3]); of[file][line] && !seen[key] {
			seen[key] = true
			list.Addf(file, line, "%s", m[3])
		}
	}
	return list
}
