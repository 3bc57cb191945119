// Package checkpatch runs the kernel's own style checker, scripts/checkpatch.pl
// of the base, on patch files.
package checkpatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
)

// ignored are checks that cannot hold for this series: it names no persons, so
// it has neither sign-offs nor MAINTAINERS entries for the files it adds, and
// its trailer Upstream-Status names commits by their hash alone.
const ignored = "FILE_PATH_CHANGES,GIT_COMMIT_ID"

// Run checks patch files by the rules of the source tree in dir, strictly, and
// returns what is found. done, if not nil, is called after each file.
func Run(ctx context.Context, dir string, files []string, done func()) (diag.List, error) {
	script := filepath.Join(dir, "scripts", "checkpatch.pl")
	if _, err := os.Stat(script); err != nil {
		return nil, fmt.Errorf("the base has no checkpatch: %w", err)
	}
	if _, err := exec.LookPath("perl"); err != nil {
		return nil, outcome.Errorf(outcome.Infra, "checkpatch needs perl: apt-get install perl")
	}
	// checkpatch writes a cache where it runs, and reads a configuration there
	// and at home: it runs where there is none, and where the base is safe.
	tmp, err := os.MkdirTemp("", "kernlab-checkpatch-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	lists := make([]diag.List, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, f := range files {
		group.Go(func() error {
			var err error
			lists[i], err = one(ctx, dir, script, tmp, f)
			if done != nil {
				done()
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all diag.List
	for _, l := range lists {
		all = append(all, l...)
	}
	return all, nil
}

func one(ctx context.Context, dir, script, tmp, file string) (diag.List, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	cmd := proc.Command(ctx, "perl", script, "--root="+dir, "--strict", "--no-signoff", "--terse", "--show-types",
		"--no-summary", "--color=never", "--ignore="+ignored, abs)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+tmp, "GIT_DIR="+filepath.Join(tmp, "none")) // the base is in no repository
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || out.Len() == 0) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("checkpatch of %s: %w: %s", file, err, strings.TrimSpace(msg.String()))
	}
	patch, _ := os.ReadFile(file) // checkpatch has complained if it cannot be read
	return parse(abs, file, out.String(), strings.Split(string(patch), "\n")), nil
}

var lineRE = regexp.MustCompile(`^(.*?):([0-9]+): ((?:ERROR|WARNING|CHECK):.*)$`)

// parse reads checkpatch's terse output, in which a finding has the number of
// a line of the patch file, whose lines are given.
func parse(abs, file, out string, patch []string) diag.List {
	var list diag.List
	for _, l := range strings.Split(out, "\n") {
		if m := lineRE.FindStringSubmatch(l); m != nil && m[1] == abs {
			n, _ := strconv.Atoi(m[2])
			if strings.Contains(m[3], ":SPACING:") && inLinkerScript(patch, n) {
				continue
			}
			list.Addf(file, n, "checkpatch: %s", m[3])
		} else if strings.TrimSpace(l) != "" {
			list.Addf(file, 0, "checkpatch: %s", strings.TrimSpace(l))
		}
	}
	return list
}

// inLinkerScript reports whether line n of a patch is of a linker script: there
// "*(section)" is a pattern, which checkpatch takes for a product in C.
func inLinkerScript(patch []string, n int) bool {
	for i := min(n, len(patch)) - 1; i >= 0; i-- {
		if name, ok := strings.CutPrefix(patch[i], "+++ "); ok {
			return strings.HasSuffix(name, ".lds.h") || strings.HasSuffix(name, ".lds.S")
		}
	}
	return false
}
