package kernel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
	"cloudkernel/tools/internal/progress"
)

// kbuild runs make in one output directory of a lane.
type kbuild struct {
	src  string // the lane
	out  string // <lane>/.build-*
	arch *arch.Arch
	tc   *toolchain
	jobs int
	log  *os.File  // everything make prints
	tee  io.Writer // a person who wants to see it too, or nil
}

// compiled matches kbuild's short lines of one object compiled or assembled.
var compiled = regexp.MustCompile(`^  (CC|AS|CC \[M\]|AS \[M\]) +\S`)

// sourceName is what debug information calls the source tree.
const sourceName = "/usr/src/cloudkernel"

// args returns make's arguments before the targets.
func (k *kbuild) args(targets ...string) []string {
	args := []string{
		"--no-print-directory", "-j", fmt.Sprint(k.jobs), "-C", k.src,
		"O=" + filepath.Base(k.out), "ARCH=" + k.arch.Kbuild,
		"CC=" + k.tc.cc(), "HOSTCC=" + k.tc.hostcc(),
		// Debug information names the directory of the build, and the build id
		// is a sum of it: without a name that is the same in every lane, a
		// kernel from the store and the tree of another lane would not be one
		// kernel, and a hotpatch made from the tree would not load.
		"KCFLAGS=" + k.names(), "KAFLAGS=" + k.names(),
	}
	return slices.Concat(args, k.tc.vars(), targets)
}

// names returns the compiler's options that give lane and output directory the
// same names in debug information wherever they lie. ccache knows them, so that
// one lane's objects serve all. Of two maps that fit, the later one counts.
func (k *kbuild) names() string {
	return fmt.Sprintf("-fdebug-prefix-map=%s=%s -fdebug-prefix-map=%s=%s/build", k.src, sourceName, k.out, sourceName)
}

// make runs the targets and calls object for every object compiled.
func (k *kbuild) make(ctx context.Context, object func(), targets ...string) error {
	cmd := proc.Command(ctx, "make", k.args(targets...)...)
	cmd.Env = makeEnv()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		r.Close()
		w.Close()
		if errors.Is(err, exec.ErrNotFound) {
			return outcome.Errorf(outcome.Infra, "make is not installed; 'kernlab doctor --install' installs what a build needs")
		}
		return err
	}
	w.Close()
	scan(r, k.log, k.tee, object)
	r.Close()
	err = cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// scan copies make's output to the log and the tee and counts objects.
func scan(r io.Reader, log, tee io.Writer, object func()) {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := br.ReadString('\n')
		if line != "" {
			_, _ = io.WriteString(log, line)
			if tee != nil {
				_, _ = io.WriteString(tee, line)
			}
			if object != nil && compiled.MatchString(line) {
				object()
			}
		}
		if err != nil {
			return
		}
	}
}

// run is make with a bar and with errors made readable. total is how many
// objects are expected, 0 when nobody knows.
func (k *kbuild) run(ctx context.Context, errw io.Writer, what string, total int, targets ...string) (objects int, err error) {
	var bar *progress.Bar
	if errw != nil {
		bar = progress.New(errw, what, "objects", int64(total))
		defer bar.Done()
	}
	start, err := k.log.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	err = k.make(ctx, func() {
		objects++
		if bar != nil {
			if objects > total {
				bar.SetTotal(int64(objects))
			}
			bar.Add(1)
		}
	}, targets...)
	if err == nil || ctx.Err() != nil {
		return objects, err
	}
	return objects, k.explain(start, err)
}

// left counts the objects that a make of the targets would compile, by asking
// it: the prepared tree answers a dry run in seconds.
func (k *kbuild) left(ctx context.Context, targets ...string) int {
	cmd := proc.Command(ctx, "make", k.args(append([]string{"-n", "-k", "-s"}, targets...)...)...)
	cmd.Env = makeEnv()
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return 0
	}
	n := countObjects(out)
	_ = cmd.Wait() // a dry run ends in an error once it needs what it did not make
	return n
}

// disk returns an error when less than need bytes are free below dir.
func disk(dir string, need uint64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return nil // a full disk will say so itself
	}
	free := st.Bavail * uint64(st.Bsize)
	if free < need {
		return outcome.Errorf(outcome.Infra, "%s has %.1f GB free, a build needs %.0f GB; 'kernlab cache gc' makes room, --cache names another place",
			dir, float64(free)/1e9, float64(need)/1e9)
	}
	return nil
}

// nameOf returns the path a compiler printed relative to the source tree: kbuild
// runs it one level below.
func nameOf(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, "../"), "./")
}
