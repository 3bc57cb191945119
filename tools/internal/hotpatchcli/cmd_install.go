package hotpatchcli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/livepatch"
	"cloudkernel/tools/internal/outcome"
)

func newInstallCmd(a *app) *cobra.Command {
	var o hostFlags
	cmd := &cobra.Command{
		Use:   "install FIX.ko",
		Short: "Apply a hotpatch again at every start of its kernel",
		Long: `install keeps a copy of a hotpatch and has systemd apply it whenever this host
starts with the kernel it was made for. With another kernel it is left alone. A
hotpatch after which the host went down before it was known to be well (two
minutes, or an orderly shutdown) is not tried again until it is installed again.

install does not apply the hotpatch now; see hotpatch apply. On a host without
systemd, run "hotpatch boot" when it starts and "hotpatch boot --settled" when
it is well.

` + ExitStatus(),
		Args: nArgs(1, "one module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInstall(cmd.Context(), a, o, args[0])
		},
	}
	o.add(cmd.Flags())
	return cmd
}

func runInstall(ctx context.Context, a *app, o hostFlags, path string) error {
	f, err := livepatch.ReadFile(path)
	if err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the path of this program: %w", err)
	}
	i, err := o.host().Install(ctx, f, binary)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(a.out, i)
	}
	fmt.Fprintf(a.out, "%s is installed for kernel %s\n", i.Name, i.Kernel)
	if !i.Here {
		fmt.Fprintln(a.out, "this host runs another kernel: it will be left alone here")
	}
	return nil
}

func newUninstallCmd(a *app) *cobra.Command {
	var o hostFlags
	cmd := &cobra.Command{
		Use:   "uninstall NAME",
		Short: "Do not apply a hotpatch at boot any more",
		Long: `uninstall undoes hotpatch install. What is applied now stays applied; see
hotpatch revert.

` + ExitStatus(),
		Args: nArgs(1, "the name of a hotpatch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := patchName(args[0])
			if err := o.host().Uninstall(cmd.Context(), name); err != nil {
				return err
			}
			if o.json {
				return printJSON(a.out, map[string]any{"name": name, "installed": false})
			}
			fmt.Fprintf(a.out, "%s is not installed\n", name)
			return nil
		},
	}
	o.add(cmd.Flags())
	return cmd
}

func newBootCmd(a *app) *cobra.Command {
	var o hostFlags
	var w waitFlags
	var settled bool
	cmd := &cobra.Command{
		Use:   "boot",
		Short: "Apply what is installed (for systemd, when the host starts)",
		Long: `boot applies the installed hotpatches that are for the running kernel. systemd
calls it when the host starts; see hotpatch install. With --settled it notes
that the host is well with them.

` + ExitStatus(),
		Args: nArgs(0, "no argument"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if settled {
				return o.host().Settled(cmd.Context())
			}
			return runBoot(cmd.Context(), a, o, w)
		},
	}
	o.add(cmd.Flags())
	cmd.Flags().DurationVar(&w.deadline, "deadline", 30*time.Second, "how long each transition may take")
	cmd.Flags().StringVar(&w.onStall, "on-stall", "wait", "what to do when it takes longer: wait or revert")
	cmd.Flags().BoolVar(&settled, "settled", false, "note that the host is well with what was applied at boot")
	return cmd
}

func runBoot(ctx context.Context, a *app, o hostFlags, w waitFlags) error {
	opt, err := w.options(a)
	if err != nil {
		return err
	}
	results, err := o.host().Boot(ctx, opt)
	if err != nil {
		return err
	}
	failed := false
	for _, r := range results {
		failed = failed || r.Error != ""
	}
	if o.json {
		if results == nil {
			results = []livepatch.BootResult{}
		}
		err = printJSON(a.out, results)
	} else {
		for _, r := range results {
			switch {
			case r.Error != "":
				fmt.Fprintf(a.out, "%s: %s\n", r.Name, r.Error)
			case r.Skipped != "":
				fmt.Fprintf(a.out, "%s: skipped: %s\n", r.Name, r.Skipped)
			default:
				printResult(a.out, r.Result)
			}
		}
	}
	if err == nil && failed {
		return exitError(outcome.Fail)
	}
	return err
}
