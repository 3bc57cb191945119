package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/series"
)

func newSeriesStatusCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what each topic is, and how far it reaches into the kernel",
		Long: `status prints a line for each topic of the series:

  PATCHES       how many patches it has
  CORE          lines added and removed in files that the base has: what the next
                move to another release must carry over by hand
  NEW           lines in files of its own
  HOTPATCHABLE  how many patches can be applied to a running kernel
  UPSTREAM      what mainline does about it, by number of patches

It needs no base. The JSON form has the reasons for what is not hotpatchable.

` + outcome.ExitStatus(),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.loadSeries(nil)
			if err != nil {
				return err
			}
			return show(a.out, asJSON, &seriesStatus{Topics: s.Status(), Digest: s.Digest()})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status as JSON")
	return cmd
}

type seriesStatus struct {
	Digest string          `json:"digest"` // of the patch files
	Topics []series.Status `json:"topics"`
}

func (s *seriesStatus) text(w io.Writer) error {
	table := [][]string{{"TOPIC", " PATCHES", " CORE", " NEW", " HOTPATCHABLE", "UPSTREAM", "WHAT"}}
	var patches, hot int
	var core, own series.Stat
	for _, t := range s.Topics {
		var up []string
		for _, u := range t.Upstream {
			up = append(up, fmt.Sprintf("%d %s", u.Patches, u.Status))
		}
		about := t.About
		if len(t.DependsOn) > 0 {
			about += " (needs " + strings.Join(t.DependsOn, ", ") + ")"
		}
		table = append(table, []string{t.Topic, strconv.Itoa(t.Patches), stat(t.Existing), stat(t.New),
			fmt.Sprintf("%d of %d", t.Hotpatchable, t.Patches), strings.Join(up, ", "), strings.TrimSpace(about)})
		patches += t.Patches
		hot += t.Hotpatchable
		for _, sum := range []struct {
			to   *series.Stat
			from series.Stat
		}{{&core, t.Existing}, {&own, t.New}} {
			sum.to.Files += sum.from.Files
			sum.to.Added += sum.from.Added
			sum.to.Deleted += sum.from.Deleted
		}
	}
	if len(s.Topics) == 0 {
		_, err := fmt.Fprintln(w, "the series has no patches")
		return err
	}
	table = append(table, []string{"all", strconv.Itoa(patches), stat(core), stat(own), fmt.Sprintf("%d of %d", hot, patches), "", ""})
	return rows(w, table)
}

func stat(s series.Stat) string {
	return fmt.Sprintf("+%d -%d in %d", s.Added, s.Deleted, s.Files)
}
