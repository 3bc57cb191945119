package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// TestRepository holds this repository against the rules.
func TestRepository(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	found, err := Check(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		t.Error(d)
	}
}

// TestTables: rows name packages that can be, once, and every row has a reason.
func TestTables(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range stages {
		for _, name := range row {
			if seen[name] {
				t.Errorf("%s has two stages", name)
			}
			seen[name] = true
		}
	}
	for _, s := range strangers {
		if !seen[s.pkg] || s.why == "" {
			t.Errorf("strangers of %s: no such stage, or no reason", s.pkg)
		}
		for _, n := range s.never {
			if !seen[n] && n != "tools/internal" {
				t.Errorf("%s never knows %s, which has no stage", s.pkg, n)
			}
		}
	}
	for _, table := range []map[string]string{owners, starters, longFiles, pathsAllowed} {
		for name, why := range table {
			if why == "" {
				t.Errorf("%s has no reason", name)
			}
		}
	}
	for file := range longFiles {
		if _, err := os.Stat(filepath.Join("..", "..", "..", file)); err != nil {
			t.Errorf("longFiles: %v", err)
		}
	}
}

// TestCheck: each archive in testdata is a small repository, whose comment is
// what must be found in it. Each breaks a rule, or shows what none breaks.
func TestCheck(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %d archives", err, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			repo := fstest.MapFS{}
			for _, f := range a.Files {
				text := f.Data
				if strings.HasPrefix(string(text), "LINES ") { // so that a long file can be a short one here
					text = []byte("package p\n" + strings.Repeat("// x\n", 800))
				}
				repo[f.Name] = &fstest.MapFile{Data: text}
			}
			found, err := Check(repo)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.TrimSpace(string(a.Comment)), strings.TrimSpace(found.Error())); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
