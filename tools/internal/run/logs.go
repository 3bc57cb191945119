package run

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"cloudkernel/tools/internal/outcome"
)

// Logs of a run lie in one directory of its own, a directory a guest in it:
//
//	out/test/20260102-150405-1234/arm64-smoke-boot/console.log   all the guest printed
//	                                              qemu.txt      QEMU's command line
//
// The runs of the past are removed but for the last few.
const keptRuns = 10

// NewLogDir returns a directory for the logs of a run below dir.
func NewLogDir(dir string) (string, error) {
	path := filepath.Join(dir, fmt.Sprintf("%s-%d", time.Now().Format("20060102-150405"), os.Getpid()))
	return path, os.MkdirAll(path, 0o755)
}

// logDir returns the directory for the logs of the guest that starts with u.
func (r *Runner) logDir(u *unit) (string, error) {
	name := u.arch.Name + "-" + strings.ReplaceAll(u.c.Name, "/", "-")
	r.mu.Lock()
	r.logNames[name]++
	if n := r.logNames[name]; n > 1 {
		name += fmt.Sprintf("-%d", n)
	}
	r.mu.Unlock()
	dir := filepath.Join(r.LogDir, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// keepLog names the logs of a unit, and what was decoded goes beside them.
func (r *Runner) keepLog(u *unit, dir string, s *seen) {
	if u.res.Outcome == outcome.Pass && !r.Keep && len(u.res.Splats) == 0 {
		return
	}
	u.res.Log = dir
	var b strings.Builder
	for _, sp := range u.res.Splats {
		text := sp.Decoded
		if text == "" {
			text = sp.Text
		}
		fmt.Fprintf(&b, "%s: %s\n%s\n\n", sp.Kind, sp.Title, text)
	}
	if b.Len() > 0 {
		_ = os.WriteFile(filepath.Join(dir, "splats.txt"), []byte(b.String()), 0o644)
	}
}

// tidy removes what nobody will look at: what the guest was booted from, and
// the logs of a guest in which everything passed.
func (r *Runner) tidy(dir string, units []*unit) {
	for _, name := range []string{"initrd", "files.cpio"} {
		_ = os.Remove(filepath.Join(dir, name))
	}
	for _, u := range units {
		if !u.done || u.res.Log != "" {
			return
		}
	}
	_ = os.RemoveAll(dir)
}

// pruneLogs removes the logs of runs long past.
func (r *Runner) pruneLogs() {
	if r.LogDir == "" {
		return
	}
	_ = os.Remove(r.LogDir) // if it is empty
	runs, err := filepath.Glob(filepath.Join(filepath.Dir(r.LogDir), "*-*-*"))
	if err != nil || r.Keep {
		return
	}
	sort.Strings(runs)
	for _, old := range runs[:max(0, len(runs)-keptRuns)] {
		// One that is being written to is not long past.
		if info, err := os.Stat(old); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(old)
		}
	}
}
