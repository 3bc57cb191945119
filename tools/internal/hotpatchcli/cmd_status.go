package hotpatchcli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/livepatch"
)

type statusOptions struct {
	hostFlags
	watch, metrics bool
}

func newStatusCmd(a *app) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is applied, what is under way, and what went wrong",
		Long: `status shows every hotpatch in the kernel with its state and the functions it
replaces; who holds up a transition, and why; what is installed; operations that
were begun and did not end; and hotpatches that were applied before the last
boot and are not now.

With --watch it shows the state again whenever it changes, until interrupted.
With --metrics it prints the text format of Prometheus, for the textfile
collector of node_exporter or a scrape by script.

` + ExitStatus(),
		Args: nArgs(0, "no argument"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStatus(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	o.add(f)
	f.BoolVar(&o.watch, "watch", false, "go on showing changes")
	f.BoolVar(&o.metrics, "metrics", false, "print metrics for Prometheus")
	return cmd
}

func runStatus(ctx context.Context, a *app, o statusOptions) error {
	h := o.host()
	last := ""
	for {
		s, err := h.Status()
		if err != nil {
			return err
		}
		if now := fingerprint(s); now != last {
			last = now
			if err := o.print(a.out, s); err != nil {
				return err
			}
		}
		if !o.watch {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// fingerprint is a text that changes when the status does.
func fingerprint(s *livepatch.Status) string {
	t := fmt.Sprint(s.Installed, s.Unfinished)
	for _, p := range s.Patches {
		t += fmt.Sprint(p.Name, p.State)
		for _, b := range p.Blockers {
			t += fmt.Sprint(" ", b.TID, b.Cause)
		}
	}
	return t
}

func (o *statusOptions) print(w io.Writer, s *livepatch.Status) error {
	switch {
	case o.metrics:
		s.Metrics(w)
	case o.json:
		return printJSON(w, s)
	default:
		printStatus(w, s)
	}
	return nil
}

func printStatus(w io.Writer, s *livepatch.Status) {
	fmt.Fprintf(w, "kernel %s, build-id %s\n", s.Release, s.BuildID)
	if !s.Supported {
		fmt.Fprintln(w, "this kernel has no livepatch support, or sysfs is not mounted")
	}
	if len(s.Patches) == 0 {
		fmt.Fprintln(w, "no hotpatch is loaded")
	}
	for _, p := range s.Patches {
		since := ""
		if p.Since != nil {
			since = " since " + p.Since.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s  %s%s\n", p.Name, p.State, since)
		if p.Manifest != nil {
			for _, f := range p.Manifest.Patches {
				fmt.Fprintf(w, "  from %s %s\n", f.Name, f.Subject)
			}
		}
		for _, ob := range p.Objects {
			state := ""
			if !ob.Patched {
				state = " (patched when it is loaded)"
			}
			fmt.Fprintf(w, "  %s%s:", ob.Name, state)
			for _, f := range ob.Functions {
				fmt.Fprintf(w, " %s", f.Name)
			}
			fmt.Fprintln(w)
		}
		if len(p.Blockers) > 0 {
			fmt.Fprintf(w, "  held up by %d tasks:\n", len(p.Blockers))
			printTasks(indent{w}, p.Blockers)
		}
	}
	for _, i := range s.Installed {
		note := ""
		switch {
		case i.Suspect != "":
			note = ": not tried again, " + i.Suspect
		case !i.Here:
			note = " for another kernel"
		}
		fmt.Fprintf(w, "installed: %s (%s)%s\n", i.Name, i.Kernel, note)
	}
	for _, u := range s.Unfinished {
		fmt.Fprintf(w, "unfinished: %s %s, begun at %s: %s\n", u.Op, u.Patch, u.Time.Format(time.RFC3339), u.What())
	}
	for _, e := range s.Lost {
		fmt.Fprintf(w, "lost: %s was applied at %s, before the host was started again, and is not now\n", e.Patch, e.Time.Format(time.RFC3339))
	}
}
