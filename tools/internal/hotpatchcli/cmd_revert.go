package hotpatchcli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

type revertOptions struct {
	hostFlags
	waitFlags
}

func newRevertCmd(a *app) *cobra.Command {
	var o revertOptions
	cmd := &cobra.Command{
		Use:   "revert NAME",
		Short: "Make the running kernel use the old functions again",
		Long: `revert takes a hotpatch back: it waits until every task uses the old functions
again. The module stays loaded and does nothing; see hotpatch unload. Reverting
what is not applied is no error.

` + ExitStatus(),
		Example: "  hotpatch revert fix && hotpatch unload fix",
		Args:    nArgs(1, "the name of a hotpatch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRevert(cmd.Context(), a, o, args[0])
		},
	}
	o.hostFlags.add(cmd.Flags())
	cmd.Flags().DurationVar(&o.deadline, "deadline", 30*time.Second, "how long the transition may take; 0 is without end")
	return cmd
}

func runRevert(ctx context.Context, a *app, o revertOptions, name string) error {
	opt, err := o.options(a)
	if err != nil {
		return err
	}
	r, err := o.host().Revert(ctx, patchName(name), opt)
	return a.finish(o.json, r, err)
}
