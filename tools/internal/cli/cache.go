package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/store"
)

func newCacheCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "See and clear what kernlab keeps",
		Long: `cache shows what kernlab keeps and makes room. Everything in it can be made
again; nothing in use by a running kernlab is removed.

  kernlab cache ls                     what there is, used last first
  kernlab cache gc                     remove what was not used for 14 days
  kernlab cache gc --max-size 30       and, oldest first, what exceeds 30 GB
  kernlab cache gc --all               remove everything

` + outcome.ExitStatus(),
	}
	cmd.AddCommand(newCacheLsCmd(a), newCacheGCCmd(a))
	return cmd
}

func newCacheLsCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the entries, the one used last first",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runCacheLs(a, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the entries as JSON, one object a line")
	return cmd
}

func runCacheLs(a *app, asJSON bool) error {
	st, err := a.store()
	if err != nil {
		return err
	}
	list, err := st.List()
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(a.out)
		for _, e := range list {
			row := map[string]any{"kind": e.Kind, "key": e.Key, "dir": e.Dir, "bytes": e.Size, "used": e.Used.UTC()}
			if err := enc.Encode(row); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	var total int64
	for _, e := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Kind, e.Key, size(e.Size), e.Used.Format("2006-01-02 15:04"))
		total += e.Size
	}
	fmt.Fprintf(w, "total\t%s\t%s\t\n", st.Dir(), size(total))
	return w.Flush()
}

type gcOptions struct {
	olderThan time.Duration
	maxSize   float64
	all       bool
	dryRun    bool
}

func newCacheGCCmd(a *app) *cobra.Command {
	var o gcOptions
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what was not used for a while",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runCacheGC(cmd.Context(), a, &o) },
	}
	f := cmd.Flags()
	f.DurationVar(&o.olderThan, "older-than", 14*24*time.Hour, "remove what was not used for this long")
	f.Float64Var(&o.maxSize, "max-size", 0, "then remove what was used longest ago until this many `GB` are left")
	f.BoolVar(&o.all, "all", false, "remove everything")
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what would be removed")
	return cmd
}

func runCacheGC(_ context.Context, a *app, o *gcOptions) error {
	st, err := a.store()
	if err != nil {
		return err
	}
	list, err := st.List()
	if err != nil {
		return err
	}
	drop := chooseGarbage(list, o, time.Now())
	if o.dryRun {
		for _, e := range list {
			if drop[e.Dir] {
				fmt.Fprintf(a.out, "would remove %s %s (%s)\n", e.Kind, e.Key, size(e.Size))
			}
		}
		return nil
	}
	gone, err := st.GC(func(e store.Entry) bool { return drop[e.Dir] })
	var freed int64
	for _, e := range gone {
		fmt.Fprintf(a.out, "removed %s %s (%s)\n", e.Kind, e.Key, size(e.Size))
		freed += e.Size
	}
	if err == nil {
		fmt.Fprintf(a.out, "%d entries removed, %s freed\n", len(gone), size(freed))
	}
	if n := len(drop) - len(gone); err == nil && n > 0 {
		fmt.Fprintf(a.out, "%d entries are in use and stay\n", n)
	}
	return err
}

// chooseGarbage returns the directories of the entries that the options let go.
// list is ordered by use, the last used first.
func chooseGarbage(list []store.Entry, o *gcOptions, now time.Time) map[string]bool {
	drop := map[string]bool{}
	var kept int64
	for _, e := range list {
		over := o.maxSize > 0 && float64(kept+e.Size) > o.maxSize*1e9
		if o.all || over || now.Sub(e.Used) > o.olderThan {
			drop[e.Dir] = true
			continue
		}
		kept += e.Size
	}
	return drop
}

// size shows bytes in the unit a person would use.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d kB", (n+999)/1000)
}
