// Package hotpatchcli is the hotpatch command: one file a command, each an
// options struct, a constructor and a run function that a test can call. Only
// main exits; everything here returns errors, and Run turns them into the exit
// codes that ExitStatus documents.
package hotpatchcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/hotbuild"
	"cloudkernel/tools/internal/outcome"
)

// app is what every command is given.
type app struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is an error of the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// exitError ends the command with an outcome's code, saying nothing more: what
// there was to say has been printed.
type exitError outcome.Outcome

func (e exitError) Error() string { return string(e) }

// Run runs hotpatch with args (without the program's name) and returns the
// exit code.
func Run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw}
	cmd := newRoot(a)
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(errw)
	err := cmd.ExecuteContext(ctx)
	var quiet exitError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &quiet):
		return outcome.Outcome(quiet).Exit()
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(errw, "hotpatch: interrupted")
		return outcome.ExitInterrupted
	case errors.As(err, &usage), strings.HasPrefix(err.Error(), "unknown command"):
		fmt.Fprintf(errw, "hotpatch: %v\n", err)
		return outcome.ExitUsage
	}
	fmt.Fprintf(errw, "hotpatch: %v\n", err)
	var compile *hotbuild.CompileError
	if errors.As(err, &compile) {
		fmt.Fprint(errw, compile.Log)
	}
	return outcome.Of(err).Exit()
}

// ExitStatus returns the section that ends every long help: the outcomes of
// the project in the words of this tool.
func ExitStatus() string {
	var b strings.Builder
	b.WriteString("EXIT STATUS\n")
	for _, row := range []struct {
		code    int
		meaning string
	}{
		{0, "done; the state asked for is reached"},
		{outcome.Fail.Exit(), "refused, or failed; nothing was changed unless the message says so"},
		{outcome.ExitUsage, "the command line was wrong"},
		{outcome.Hang.Exit(), "the transition did not end in time (hang)"},
		{outcome.Infra.Exit(), "this machine lacks something: a tool, root, livepatch support, disk space (infra)"},
		{outcome.Skip.Exit(), "nothing to do: the change changes no code (skip)"},
		{outcome.ExitInterrupted, "interrupted"},
	} {
		fmt.Fprintf(&b, "  %-4d %s\n", row.code, row.meaning)
	}
	return b.String()
}

func newRoot(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hotpatch",
		Short: "Turn a source fix into a livepatch module, and run it on live kernels",
		Long: `hotpatch has two sides.

Where kernels are built, it turns a source patch into a livepatch module (.ko)
for exactly one built kernel:

  hotpatch build fix.patch -o fix.ko --kernel BUILDDIR
  hotpatch diff --explain before.o after.o

On the host, from one static binary, it applies such modules:

  hotpatch check fix.ko      does it fit this very kernel?
  hotpatch apply fix.ko      use the new functions
  hotpatch status            what is applied, under way, went wrong
  hotpatch revert fix        use the old functions again

` + ExitStatus(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; see '%s --help'", err, c.CommandPath())
	})
	cmd.AddCommand(commands(a)...)
	return cmd
}
