package cli

import (
	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/outcome"
)

func newCICmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ci",
		Short: "What CI needs beside the tests",
		Long: `ci holds what only a CI system calls.

` + outcome.ExitStatus(),
	}
	cmd.AddCommand(newCIPublishCmd(a))
	return cmd
}
