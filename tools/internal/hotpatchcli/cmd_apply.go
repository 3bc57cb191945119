package hotpatchcli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/livepatch"
)

type applyOptions struct {
	hostFlags
	waitFlags
	stack bool
}

func newApplyCmd(a *app) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply FIX.ko",
		Short: "Apply a hotpatch to the running kernel",
		Long: `apply checks a hotpatch (see hotpatch check), loads it, and waits until every
task uses the new functions. Tasks change over one by one, each when none of the
functions concerned is on its stack. Applying what is applied already is no
error.

When the transition does not end within the deadline, the tasks that hold it up
are named with their stacks and the reason, and apply ends with the code for a
hang: with --on-stall wait (default) the kernel goes on trying, with --on-stall
revert everything goes back to how it was before.

The hotpatch is gone after a reboot; see hotpatch install.

` + ExitStatus(),
		Example: `  hotpatch apply fix.ko
  hotpatch apply fix.ko --deadline 5s --on-stall revert`,
		Args: nArgs(1, "one module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runApply(cmd.Context(), a, o, args[0])
		},
	}
	f := cmd.Flags()
	o.hostFlags.add(f)
	f.DurationVar(&o.deadline, "deadline", 30*time.Second, "how long the transition may take; 0 is without end")
	f.StringVar(&o.onStall, "on-stall", "wait", "what to do when it takes longer: wait or revert")
	f.BoolVar(&o.stack, "stack", false, "apply on top of hotpatches that replace the same functions; it must contain what they fix")
	return cmd
}

func runApply(ctx context.Context, a *app, o applyOptions, path string) error {
	opt, err := o.options(a)
	if err != nil {
		return err
	}
	opt.Stack = o.stack
	f, err := livepatch.ReadFile(path)
	if err != nil {
		return err
	}
	r, err := o.host().Apply(ctx, f, opt)
	return a.finish(o.json, r, err)
}
