package lab

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRunDirectories(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	abandoned := filepath.Join(os.TempDir(), "kernlab-run-1")
	beginning := filepath.Join(os.TempDir(), "kernlab-run-2") // its owner has not locked it yet
	foreign := filepath.Join(os.TempDir(), "other")
	for _, dir := range []string{abandoned, beginning, foreign} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{abandoned, foreign} {
		if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var guests [2]Guest
	for i := range guests {
		if err := guests[i].makeDir(""); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]bool{abandoned: false, beginning: true, foreign: true, guests[0].Dir: true, guests[1].Dir: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
	guests[0].release()
	guests[1].release()
	for i := range guests {
		if _, err := os.Stat(guests[i].Dir); err == nil {
			t.Errorf("%s is left", guests[i].Dir)
		}
	}
	kept := filepath.Join(t.TempDir(), "a/b")
	var g Guest
	if err := g.makeDir(kept); err != nil {
		t.Fatal(err)
	}
	g.release()
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("the caller's own directory was removed: %v", err)
	}
}
