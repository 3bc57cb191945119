package lab

import (
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// dirPattern names the directories of runs whose files nobody keeps. Each has a
// file "lock" that its owner holds; the lock of an owner that was killed is
// free, and the next run removes what it left.
const dirPattern = "kernlab-run-*"

// makeDir makes the run's directory: dir, or a temporary one.
func (g *Guest) makeDir(dir string) error {
	if dir != "" {
		g.Dir = dir
		return os.MkdirAll(dir, 0o755)
	}
	removeAbandoned()
	dir, err := os.MkdirTemp("", dirPattern)
	if err != nil {
		return err
	}
	g.Dir = dir
	lock := flock.New(filepath.Join(dir, "lock"))
	g.cleanup = append(g.cleanup, func() {
		os.RemoveAll(dir)
		lock.Close()
	})
	_, err = lock.TryLock()
	return err
}

func removeAbandoned() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPattern))
	for _, dir := range dirs {
		// One that is being made has no lock yet.
		name := filepath.Join(dir, "lock")
		if _, err := os.Stat(name); err != nil {
			continue
		}
		lock := flock.New(name)
		if ok, err := lock.TryLock(); ok && err == nil {
			os.RemoveAll(dir)
		}
		lock.Close()
	}
}
