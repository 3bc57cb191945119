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
//	                                              output.log    all that ran in it, and what that printed
//	                                              splats.txt    the kernel's complaints, decoded
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
	if u.res.Outcome == outcome.Pass && !r.Keep {
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

// record adds a command and what it printed to the guest's output log.
func (g *session) record(name string, r ran) {
	if g.dir == "" {
		return
	}
	f, err := os.OpenFile(filepath.Join(g.dir, "output.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return // the log is for people; the verdict does not need it
	}
	defer f.Close()
	end := fmt.Sprintf("exit code %d after %s", r.exit, r.took.Round(time.Millisecond))
	switch {
	case r.hang != "":
		end = r.hang
	case r.late:
		end = "no end within its time"
	case r.err != nil:
		end = r.err.Error()
	}
	fmt.Fprintf(f, "=== %s: %s\n%s", name, end, r.stdout)
	if r.stderr != "" {
		fmt.Fprintf(f, "--- stderr\n%s", r.stderr)
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
