package kernel

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAdded(t *testing.T) {
	old := "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n"
	for _, tt := range []struct {
		name, new string
		want      []int
	}{
		{"nothing", old, nil},
		{"a new file's lines are all new", "x\n" + old, []int{1}},
		{"one changed", strings.Replace(old, "c", "C", 1), []int{3}},
		{"removed lines have no number", strings.Replace(old, "c\nd\n", "", 1), nil},
		{"two hunks", strings.Replace(strings.Replace(old, "b\n", "b\nB\n", 1), "l\n", "L\nM\n", 1), []int{3, 13, 14}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := slices.Sorted(maps.Keys(added([]byte(old), []byte(tt.new))))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	if got := added(nil, []byte("a\nb\n")); len(got) != 2 {
		t.Errorf("of a new file with two lines, %d are new", len(got))
	}
}

func TestComplaints(t *testing.T) {
	log := "  CC      fs/a.o\n" +
		"../fs/a.c:3:1: warning: no previous prototype for ‘f’ [-Wmissing-prototypes]\n" +
		"../fs/a.c:3:1: warning: no previous prototype for ‘f’ [-Wmissing-prototypes]\n" +
		"../fs/a.c:4:1: warning: of the base\n" +
		"  CHECK   ../fs/a.c\n" +
		"../fs/a.c:5:9: error: incompatible types in comparison expression\n" +
		"../fs/a.c:5:9:    unsigned int\n" +
		"../include/b.h:1:1: warning: of another file\n"
	got := complaints(strings.NewReader(log), map[string]lineSet{"fs/a.c": {3: true, 5: true}})
	want := "fs/a.c:3: warning: no previous prototype for ‘f’ [-Wmissing-prototypes]\n" +
		"fs/a.c:5: error: incompatible types in comparison expression"
	if got.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", got.Error(), want)
	}
}

func TestDependents(t *testing.T) {
	out := t.TempDir()
	write := func(object string, deps ...string) {
		dir := filepath.Join(out, filepath.Dir(object))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		text := "savedcmd_" + object + " := gcc\n\nsource_" + object + " := " + deps[0] + "\n\ndeps_" + object + " := \\\n"
		for _, d := range deps[1:] {
			text += "  " + d + " \\\n"
		}
		if err := os.WriteFile(filepath.Join(dir, "."+filepath.Base(object)+".cmd"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("fs/a.o", "../fs/a.c", "../include/h.h")
	write("boot/a.o", "../boot/a.c", "../fs/a.c") // includes it; fs/a.o is its own
	write("kernel/build.o", "../kernel/build.c", "../kernel/part.c")
	write("kernel/other.o", "../kernel/other.c")
	objects, unseen := dependents(out, map[string]lineSet{
		"fs/a.c": {}, "kernel/part.c": {}, "include/h.h": {},
		"mm/left-out.c": {}, "arch/x86/e.c": {}, "arch/arm64/e.c": {},
	}, "arm64")
	if d := cmp.Diff([]string{"fs/a.o", "kernel/build.o"}, objects); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"arch/arm64/e.c", "mm/left-out.c"}, unseen); d != "" {
		t.Error(d)
	}
}
