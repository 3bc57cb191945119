package series

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"cloudkernel/tools/internal/diag"
)

// seedPatches gives a fuzzer every patch of the golden archives.
func seedPatches(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/series/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range ar.Files {
			if strings.HasSuffix(file.Name, ".patch") {
				f.Add(file.Data)
			}
		}
	}
}

// FuzzPatch parses and applies what may be a patch. Whatever comes, it must
// say where in the file something is wrong, or give patches whose diffs name
// lines of the file and whose application leaves valid paths.
func FuzzPatch(f *testing.F) {
	seedPatches(f)
	base := fstest.MapFS{
		"kernel/fork.c": {Data: []byte("line 1\nline 2\nline 3\nline 4\nline 5\n"), Mode: 0o644},
		"a/old.c":       {Data: []byte("1\n2\n3\n"), Mode: 0o644},
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := strings.Count(string(data), "\n") + 1
		p, err := Parse("topic/0001-x.patch", data)
		if err != nil {
			for _, d := range err.(diag.List) {
				if d.Line < 0 || d.Line > lines || d.Msg == "" {
					t.Errorf("line %d of %d: %q", d.Line, lines, d.Msg)
				}
			}
			return
		}
		all := strings.Split(string(data), "\n")
		for _, d := range p.Diffs {
			if !strings.HasPrefix(all[d.Line-1], "diff --git ") {
				t.Errorf("line %d does not begin the diff of %s", d.Line, d.Name())
			}
			for _, h := range d.Hunks {
				if !strings.HasPrefix(all[h.Line-1], "@@ -") {
					t.Errorf("line %d does not begin a hunk", h.Line)
				}
			}
		}
		s := &Series{Patches: []*Patch{p}}
		s.Check(nil)
		s.Status()
		a, err := s.Apply(base)
		if err != nil {
			return
		}
		for name, file := range a.Files {
			if !file.Deleted && file.Mode == 0 {
				t.Errorf("%s has no mode", name)
			}
		}
		_ = a.Digest()
	})
}

// FuzzList parses what may be a series file, and writes it back: what lists no
// patch that goes keeps every line.
func FuzzList(f *testing.F) {
	f.Add([]byte(listBefore))
	if data, err := os.ReadFile("../../../kernel-patches/series"); err == nil {
		f.Add(data)
	}
	f.Add([]byte("one/0001-x.patch\r\n\n\n# end"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var list diag.List
		lf := parseList("series", data, &list)
		s := &Series{list: lf}
		var patches []New
		var names []string
		for _, l := range lf.lines {
			if l.entry != "" {
				topic, n := splitName(l.entry)
				if !topicRE.MatchString(topic) || n < 0 {
					t.Errorf("entry %q", l.entry)
				}
				s.Patches = append(s.Patches, &Patch{Name: l.entry, Topic: topic, Mail: Mail{Subject: l.entry}})
			}
		}
		for _, topic := range s.Topics() {
			for _, p := range s.Topic(topic) {
				patches = append(patches, New{Topic: topic, Subject: p.Subject})
				names = append(names, p.Name)
			}
		}
		out := string(s.rewriteList(patches, names))
		for _, l := range lf.lines {
			if l.text != "" && (l.text[0] == '#' || l.entry != "") && !strings.Contains(out, l.text) {
				t.Errorf("line %q is lost:\n%s", l.text, out)
			}
		}
	})
}
