// Package cli is the kernlab command: one file a command, each an options
// struct, a constructor and a run function that a test can call. Only main
// exits; everything here returns errors, and Run turns them into exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/store"
)

// app is what every command is given: the streams, and where things are.
type app struct {
	in       io.Reader
	out, err io.Writer

	root  string // the repository: where go.mod and kernel-patches are
	cache string // directory of the store
}

// usageError is an error of the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// store returns the user's store.
func (a *app) store() (*store.Store, error) {
	dir := a.cache
	if dir == "" {
		var err error
		if dir, err = store.DefaultDir(); err != nil {
			return nil, err
		}
	}
	return store.Open(dir), nil
}

// Run runs kernlab with args (without the program's name) and returns the exit
// code that the outcome package documents.
func Run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw}
	cmd := newRoot(a)
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(errw)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(errw, "kernlab: interrupted")
		return outcome.ExitInterrupted
	}
	var code exitError
	if errors.As(err, &code) {
		return int(code)
	}
	fmt.Fprintf(errw, "kernlab: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command ") {
		return outcome.ExitUsage
	}
	return outcome.Of(err).Exit()
}

// exitError ends the command with a code of its own, saying nothing more.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func newRoot(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kernlab",
		Short: "Build, boot, test and benchmark the cloudkernel patch series",
		Long: `kernlab turns the patch series under kernel-patches/ into kernels, boots them in
QEMU and says whether they do what the series promises.

  kernlab test smoke        build, boot and judge the smallest cases
  kernlab boot              a shell in a guest that runs the series
  kernlab tree              the series as a git tree, to edit and commit in
  kernlab series export     write the tree's commits back as patch files

` + outcome.ExitStatus(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Name() == cobra.ShellCompRequestCmd || cmd.Name() == cobra.ShellCompNoDescRequestCmd {
				return nil // the shell asks from anywhere
			}
			root, err := findRoot(a.root)
			a.root = root
			return err
		},
	}
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
	})
	f := cmd.PersistentFlags()
	f.StringVarP(&a.root, "repo", "C", "", "the cloudkernel repository (default: the one the current directory is in)")
	f.StringVar(&a.cache, "cache", "", "directory for everything that can be made again (default: $CLOUDKERNEL_CACHE, or cloudkernel in the user's cache directory)")
	cmd.AddCommand(commands(a)...)
	markUsageErrors(cmd)
	a.addCompletions(cmd)
	return cmd
}

// markUsageErrors makes what the checks of positional arguments find errors of
// the command line, for every command below cmd.
func markUsageErrors(cmd *cobra.Command) {
	// A command that only holds others takes no arguments: cobra would answer
	// a misspelt one with help, and success.
	if cmd.HasParent() && cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args = cobra.NoArgs
		cmd.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markUsageErrors(sub)
	}
}

// findRoot returns dir, or the nearest directory above the current one that
// holds the series.
func findRoot(dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "kernel-patches", "series")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", usageError{fmt.Errorf("no cloudkernel repository at or above %s; go there, or name it with -C", dir)}
		}
	}
}
