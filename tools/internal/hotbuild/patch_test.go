package hotbuild

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const original = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n"

func sources(files map[string]string) reader {
	return func(p string) ([]byte, error) {
		if s, ok := files[p]; ok {
			return []byte(s), nil
		}
		return nil, os.ErrNotExist
	}
}

// hunk makes a patch of one hunk for fs/a.c.
func hunk(at int, lines ...string) string {
	old, now := 0, 0
	for _, l := range lines {
		if l[0] != '+' {
			old++
		}
		if l[0] != '-' {
			now++
		}
	}
	return fmt.Sprintf("--- a/fs/a.c\n+++ b/fs/a.c\n@@ -%d,%d +%d,%d @@\n%s\n", at, old, at, now, strings.Join(lines, "\n"))
}

func TestApplyPatches(t *testing.T) {
	tests := []struct {
		name    string
		patches []string
		want    string // text of fs/a.c
		origin  []int
	}{
		{"replace", []string{hunk(2, " two", "-three", "+3", " four")}, strings.Replace(original, "three", "3", 1), []int{1, 2, 0, 4, 5, 6, 7, 8, 9, 10}},
		{"insert", []string{hunk(2, " two", "+2.5", " three")}, strings.Replace(original, "three", "2.5\nthree", 1), []int{1, 2, 0, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"remove", []string{hunk(4, " four", "-five", " six")}, strings.Replace(original, "five\n", "", 1), []int{1, 2, 3, 4, 6, 7, 8, 9, 10}},
		{"elsewhere", []string{hunk(1, " seven", "-eight", "+8", " nine")}, strings.Replace(original, "eight", "8", 1), []int{1, 2, 3, 4, 5, 6, 7, 0, 9, 10}},
		{"one after the other", []string{hunk(2, " two", "+2.5", " three"), hunk(3, " 2.5", "-three", "+3", " four")},
			"one\ntwo\n2.5\n3\nfour\nfive\nsix\nseven\neight\nnine\nten\n", []int{1, 2, 0, 0, 4, 5, 6, 7, 8, 9, 10}},
		{"git mail", []string{"From 0 Mon Sep 17\nFrom: a <a@b>\nSubject: [PATCH] fs: mend it\n\nWhy.\n---\n fs/a.c | 2 +-\n\ndiff --git a/fs/a.c b/fs/a.c\nindex 1..2 100644\n" + hunk(2, " two", "-three", "+3", " four") + "-- \n2.39\n"},
			strings.Replace(original, "three", "3", 1), []int{1, 2, 0, 4, 5, 6, 7, 8, 9, 10}},
		{"other directories in front", []string{strings.NewReplacer("a/fs", "linux-6.12.orig/fs", "b/fs", "linux-6.12/fs").Replace(hunk(2, " two", "-three", "+3", " four"))},
			strings.Replace(original, "three", "3", 1), []int{1, 2, 0, 4, 5, 6, 7, 8, 9, 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var patches []*Patch
			for _, p := range tt.patches {
				patch, err := ParsePatch("fix.patch", []byte(p))
				if err != nil {
					t.Fatal(err)
				}
				patches = append(patches, patch)
			}
			changes, err := applyPatches(sources(map[string]string{"fs/a.c": original}), patches)
			if err != nil {
				t.Fatal(err)
			}
			c := changes["fs/a.c"]
			if c == nil {
				t.Fatalf("changed %v", changes)
			}
			if d := cmp.Diff(tt.want, string(c.text())); d != "" {
				t.Errorf("text (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.origin, c.origin); d != "" {
				t.Errorf("origin (-want +got):\n%s", d)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	for _, tt := range []struct{ name, patch, want string }{
		{"other text", hunk(2, " two", "-drei", "+3", " four"), `line 3 should be "drei", but there is "three"`},
		{"two places", "--- a/fs/b.c\n+++ b/fs/b.c\n@@ -9,1 +9,2 @@\n same\n+new\n", "two other places"},
		{"no such file", strings.ReplaceAll(hunk(2, " two", "-three", "+3", " four"), "fs/a.c", "fs/gone.c"), "no file b/fs/gone.c"},
		{"out of the tree", strings.NewReplacer("a/fs/a.c", "../../etc/passwd", "b/fs/a.c", "../../etc/passwd").Replace(hunk(2, " two", "-three", "+3", " four")), "no file"},
		{"rename", "diff --git a/fs/a.c b/fs/c.c\nsimilarity index 100%\nrename from fs/a.c\nrename to fs/c.c\n", "renamed"},
	} {
		patch, err := ParsePatch("fix.patch", []byte(tt.patch))
		if err == nil {
			_, err = applyPatches(sources(map[string]string{"fs/a.c": original, "fs/b.c": "same\nx\nsame\n", "fs/c.c": ""}), []*Patch{patch})
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
	if _, err := ParsePatch("fix.patch", []byte("hello\n")); err == nil {
		t.Error("a text without a patch is taken for one")
	}
}

func FuzzApplyPatches(f *testing.F) {
	f.Add(hunk(2, " two", "-three", "+3", " four"))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePatch("fix.patch", []byte(text))
		if err != nil {
			return
		}
		changes, err := applyPatches(sources(map[string]string{"fs/a.c": original}), []*Patch{p})
		if err != nil {
			return
		}
		for name, c := range changes {
			if len(c.lines) != len(c.origin) || strings.HasPrefix(name, "/") || strings.Contains(name, "../") {
				t.Fatalf("%s: %d lines with %d origins", name, len(c.lines), len(c.origin))
			}
		}
	})
}
