package kernel

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/series"
	"cloudkernel/tools/internal/store"
)

// contents returns every regular file below dir but the lane's own.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == manifestFile {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		got[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLaneFollowsTheSeries(t *testing.T) {
	baseFiles := map[string]string{"Makefile": "all:\n", "fs/a.c": "a\n", "fs/b.c": "b\n", "mm/only.c": "o\n"}
	base := write(t, t.TempDir(), baseFiles)
	st := store.Open(t.TempDir())
	sync := func(files map[string]series.File) string {
		t.Helper()
		dir, release, err := openLane(context.Background(), st, "x-series", base, &series.Applied{Files: files}, nil)
		if err != nil {
			t.Fatal(err)
		}
		release()
		return dir
	}
	dir := sync(map[string]series.File{
		"fs/a.c":     {Data: []byte("A\n"), Mode: 0o644},
		"new/deep.c": {Data: []byte("n\n"), Mode: 0o644},
		"mm/only.c":  {Deleted: true},
		"run.sh":     {Data: []byte("#!\n"), Mode: 0o755},
	})
	want := map[string]string{"Makefile": "all:\n", "fs/a.c": "A\n", "fs/b.c": "b\n", "new/deep.c": "n\n", "run.sh": "#!\n"}
	if d := cmp.Diff(want, contents(t, dir)); d != "" {
		t.Error(d)
	}
	if info, err := os.Stat(filepath.Join(dir, "run.sh")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("run.sh: %v, %v", info.Mode(), err)
	}
	if d := cmp.Diff(baseFiles, contents(t, base)); d != "" {
		t.Errorf("the base was written through a hard link:\n%s", d)
	}

	// What does not change keeps its time stamp, so that make leaves it alone.
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(filepath.Join(dir, "fs/a.c"), old, old); err != nil {
		t.Fatal(err)
	}
	sync(map[string]series.File{"fs/a.c": {Data: []byte("A\n"), Mode: 0o644}, "fs/b.c": {Data: []byte("B\n"), Mode: 0o644}})
	if info, _ := os.Stat(filepath.Join(dir, "fs/a.c")); !info.ModTime().Equal(old) {
		t.Error("an unchanged file was written anew")
	}
	want = map[string]string{"Makefile": "all:\n", "fs/a.c": "A\n", "fs/b.c": "B\n", "mm/only.c": "o\n"}
	if d := cmp.Diff(want, contents(t, dir)); d != "" {
		t.Error(d)
	}

	// A sync that was killed after the manifest was written is carried on.
	if err := writeManifest(dir, map[string]bool{"fs/a.c": true, "fs/b.c": true, "half.c": true}); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"half.c": "half"})
	sync(nil)
	if d := cmp.Diff(baseFiles, contents(t, dir)); d != "" {
		t.Error(d)
	}
}

func TestStaleCountsWhatMakeWouldCompile(t *testing.T) {
	src := t.TempDir()
	out := filepath.Join(src, ".build-x")
	write(t, src, map[string]string{"fs/a.c": "", "fs/b.c": "", "include/h.h": ""})
	cmdfile := func(c string) string {
		return "savedcmd_fs/x.o := gcc -c -o fs/x.o ../fs/" + c + "\n\nsource_fs/x.o := ../fs/" + c +
			"\n\ndeps_fs/x.o := \\\n    $(wildcard include/config/SMP) \\\n  ../include/h.h \\\n\nfs/x.o: $(deps_fs/x.o)\n"
	}
	write(t, out, map[string]string{"fs/a.o": "", "fs/b.o": "", "fs/.a.o.cmd": cmdfile("a.c"), "fs/.b.o.cmd": cmdfile("b.c"), "include/config/SMP": ""})
	past, later := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, f := range []string{"fs/a.c", "fs/b.c", "include/h.h", ".build-x/include/config/SMP"} {
		if err := os.Chtimes(filepath.Join(src, f), past, past); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		touch string
		want  int
	}{{"", 0}, {"fs/a.c", 1}, {"include/h.h", 2}} {
		if step.touch != "" {
			if err := os.Chtimes(filepath.Join(src, step.touch), later, later); err != nil {
				t.Fatal(err)
			}
		}
		if got := stale(out); got != step.want {
			t.Errorf("after touching %q: %d stale, want %d", step.touch, got, step.want)
		}
	}
}
