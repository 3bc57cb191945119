package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/hotpatchcli"
	"cloudkernel/tools/internal/manpage"
	"cloudkernel/tools/internal/outcome"
)

// newGenCmd makes what is generated from the commands themselves. It is for
// those who change a command: docs/man is checked in, and a test keeps it
// current.
func newGenCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "gen",
		Short:  "Write what is generated from the commands",
		Hidden: true,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "man [DIR]",
		Short: "Write the manual pages",
		Long: `man writes a manual page for each command of kernlab and hotpatch to DIR,
docs/man of the repository by default, and removes the pages of commands that
are no more.

` + outcome.ExitStatus(),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filepath.Join(a.root, "docs", "man")
			if len(args) > 0 {
				dir = args[0]
			}
			for _, root := range documented(cmd.Root()) {
				if err := manpage.Write(root, dir); err != nil {
					return err
				}
			}
			return nil
		},
	})
	return cmd
}

// documented returns the commands that have manual pages.
func documented(kernlab *cobra.Command) []*cobra.Command {
	return []*cobra.Command{kernlab, hotpatchcli.Command()}
}
