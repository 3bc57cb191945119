// Package git runs git(1). It is the only package that does.
//
// Commands run without the user's configuration, without hooks and without a
// pager, in the C locale, so that what they print depends on git and on the
// repository alone.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
)

// Repo is a repository: the directory of its work tree, or of a bare one.
type Repo struct{ Dir string }

// Available reports whether this machine has git.
func Available() bool {
	_, err := exec.LookPath("git")
	return err == nil
}

// Error is a git command that failed.
type Error struct {
	Args   []string
	Code   int    // exit code
	Stderr string // what git said
}

// Error returns what git said, on one line where it can.
func (e *Error) Error() string {
	msg := strings.TrimSpace(e.Stderr)
	if msg == "" {
		msg = fmt.Sprintf("exit status %d", e.Code)
	}
	return fmt.Sprintf("git %s: %s", subcommand(e.Args), msg)
}

// subcommand returns the command among arguments that may begin with -c.
func subcommand(args []string) string {
	for len(args) > 2 && args[0] == "-c" {
		args = args[2:]
	}
	return args[0]
}

// Run runs git in the repository and returns what it prints, without the last
// line end.
func (r Repo) Run(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	if err := r.Stream(ctx, nil, &out, nil, args...); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// Lines runs git and returns the lines it prints.
func (r Repo) Lines(ctx context.Context, args ...string) ([]string, error) {
	out, err := r.Run(ctx, args...)
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(out, "\n"), nil
}

// OK runs git and reports whether it exits with 0; only 1 means false.
func (r Repo) OK(ctx context.Context, args ...string) (bool, error) {
	_, err := r.Run(ctx, args...)
	var e *Error
	if errors.As(err, &e) && e.Code == 1 {
		return false, nil
	}
	return err == nil, err
}

// Stream runs git with its streams connected. A nil stderr is kept for the
// error; what is written to another is kept too.
func (r Repo) Stream(ctx context.Context, in io.Reader, out, stderr io.Writer, args ...string) error {
	cmd := proc.Command(ctx, "git", append(r.config(), args...)...)
	cmd.Dir = r.Dir
	cmd.Env = environ()
	cmd.Stdin, cmd.Stdout = in, out
	var msg bytes.Buffer
	cmd.Stderr = &msg
	if stderr != nil {
		cmd.Stderr = io.MultiWriter(stderr, &msg)
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return outcome.Errorf(outcome.Infra, "this machine has no git: apt-get install git")
	case errors.As(err, &exit):
		return &Error{Args: args, Code: exit.ExitCode(), Stderr: msg.String()}
	}
	return fmt.Errorf("git %s: %w", subcommand(args), err)
}

// config overrides what the repository's own configuration may say.
func (r Repo) config() []string {
	dir, err := filepath.Abs(r.Dir)
	if err != nil {
		dir = r.Dir
	}
	var args []string
	for _, kv := range []string{
		"safe.directory=" + dir,
		"core.hooksPath=/dev/null",
		"core.fsmonitor=false",
		"core.attributesFile=/dev/null",
		"core.autocrlf=false",
		"core.quotePath=true",
		"core.abbrev=auto",
		"advice.detachedHead=false",
		"gc.auto=0",
		"i18n.logOutputEncoding=UTF-8",
		"i18n.commitEncoding=UTF-8",
		"user.name=cloudkernel",
		"user.email=cloudkernel@localhost",
		"commit.gpgSign=false",
		"init.defaultBranch=series",
	} {
		args = append(args, "-c", kv)
	}
	return args
}

// environ is the environment without what a surrounding git command sets.
func environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") {
			env = append(env, kv)
		}
	}
	return append(env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_OPTIONAL_LOCKS=0", "GIT_PAGER=cat", "LC_ALL=C", "TZ=UTC")
}
