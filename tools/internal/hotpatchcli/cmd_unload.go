package hotpatchcli

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func newUnloadCmd(a *app) *cobra.Command {
	var o hostFlags
	var force bool
	cmd := &cobra.Command{
		Use:   "unload NAME",
		Short: "Remove the module of a hotpatch that is reverted",
		Long: `unload removes the module of a hotpatch that was reverted, or that another took
the place of. A hotpatch that hands addresses of new functions to the kernel
should stay until the next boot; unload refuses to remove such a one unless
--force is given.

` + ExitStatus(),
		Args: nArgs(1, "the name of a hotpatch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runUnload(cmd.Context(), a, o, args[0], force)
		},
	}
	o.add(cmd.Flags())
	cmd.Flags().BoolVar(&force, "force", false, "unload even if the kernel may have kept an address in it: that can crash the host")
	return cmd
}

func runUnload(ctx context.Context, a *app, o hostFlags, name string, force bool) error {
	r, err := o.host().Unload(ctx, patchName(name), force)
	return a.finish(o.json, r, err)
}

// patchName takes a file's name for the name of the module in it.
func patchName(s string) string {
	if n, ok := strings.CutSuffix(s, ".ko"); ok {
		return strings.ReplaceAll(filepath.Base(n), "-", "_")
	}
	return s
}
