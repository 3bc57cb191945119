package hotpatchcli

import (
	"fmt"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/livepatch"
	"cloudkernel/tools/internal/outcome"
)

func newCheckCmd(a *app) *cobra.Command {
	var o hostFlags
	cmd := &cobra.Command{
		Use:   "check FIX.ko",
		Short: "Say whether a hotpatch can be applied to this host",
		Long: `check looks at everything that decides whether a hotpatch fits this host: is it
for this very kernel (release and build-id), may modules be loaded and must they
be signed, is it applied already, do other hotpatches replace the same
functions, does any task sleep in one of them now. It changes nothing.

` + ExitStatus(),
		Example: "  hotpatch check fix.ko",
		Args:    nArgs(1, "one module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCheck(a, o, args[0])
		},
	}
	o.add(cmd.Flags())
	return cmd
}

func runCheck(a *app, o hostFlags, path string) error {
	f, err := livepatch.ReadFile(path)
	if err != nil {
		return err
	}
	found := o.host().Check(f)
	fits := livepatch.Failed(found) == nil
	if o.json {
		err = printJSON(a.out, map[string]any{"patch": f.Manifest.Name, "fits": fits, "checks": found})
	} else {
		for _, c := range found {
			mark := "ok  "
			switch {
			case c.Fatal:
				mark = "FAIL"
			case !c.OK:
				mark = "warn"
			}
			fmt.Fprintf(a.out, "%s  %-13s %s\n", mark, c.Check, c)
		}
	}
	if err == nil && !fits {
		return exitError(outcome.Fail)
	}
	return err
}
