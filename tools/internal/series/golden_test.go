package series

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/golden"
)

// TestGolden loads, checks and applies the series of every archive in
// testdata/series. The archive's file want is what must come of it: findings,
// or every changed file. In the archive "%" at the end of a line stands for
// nothing, so that the white space before it can be seen; the ending .link of a
// name makes a symbolic link, and .noeol a file that ends without a line end.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/series/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no archives", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			unpackArchive(t, ar, dir)
			got := describe(t, dir)
			for i := range ar.Files {
				if f := &ar.Files[i]; f.Name == "want" {
					if diff := cmp.Diff(string(f.Data), got); diff != "" && !golden.Updating() {
						t.Errorf("want -, got +:\n%s", diff)
					}
					f.Data = []byte(got)
				}
			}
			if golden.Updating() {
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func unpackArchive(t testing.TB, ar *txtar.Archive, dir string) {
	t.Helper()
	for _, f := range ar.Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		data := strings.ReplaceAll(string(f.Data), "%\n", "\n")
		if strings.HasSuffix(f.Name, ".link") {
			if err := os.Symlink(strings.TrimSpace(data), strings.TrimSuffix(path, ".link")); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if bare, ok := strings.CutSuffix(path, ".noeol"); ok {
			path, data = bare, strings.TrimSuffix(data, "\n")
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// describe says what comes of the series in dir, as text.
func describe(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	short := func(l diag.List) {
		for _, d := range l {
			d.File = strings.TrimPrefix(d.File, filepath.Join(dir, "kernel-patches")+"/")
			d.Hint = strings.ReplaceAll(d.Hint, dir+"/", "")
			fmt.Fprintln(&b, d.Error())
		}
	}
	var list diag.List
	s, err := Load(filepath.Join(dir, "kernel-patches"))
	if errors.As(err, &list) {
		short(list)
		return b.String()
	} else if err != nil {
		t.Fatal(err)
	}
	faults := s.Check(os.DirFS(dir))
	short(faults)
	a, err := s.Apply(os.DirFS(filepath.Join(dir, "base")))
	if errors.As(err, &list) {
		short(list)
		return b.String()
	} else if err != nil {
		t.Fatal(err)
	}
	for _, d := range a.Moved {
		b.WriteString("moved: ")
		short(diag.List{d})
	}
	if len(faults) > 1 {
		fmt.Fprintln(&b, "applies")
		return b.String()
	}
	var names []string
	for n := range a.Files {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		switch f := a.Files[n]; {
		case f.Deleted:
			fmt.Fprintf(&b, "%s: removed\n", n)
		case f.Mode&fs.ModeSymlink != 0:
			fmt.Fprintf(&b, "%s: -> %s\n", n, f.Data)
		default:
			fmt.Fprintf(&b, "%s: %o\n%s", n, f.Mode, indent(string(f.Data)))
		}
	}
	return b.String()
}

func indent(s string) string {
	if s == "" {
		return ""
	}
	tail := ""
	if !strings.HasSuffix(s, "\n") {
		tail = "(no line end)\n"
		s += "\n"
	}
	return "\t" + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n\t") + "\n" + tail
}
