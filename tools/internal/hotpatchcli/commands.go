package hotpatchcli

import (
	"github.com/spf13/cobra"
)

// commands returns hotpatch's subcommands, one constructor a line.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newBuildCmd(a),
		newDiffCmd(a),
		newInspectCmd(a),
		newSignCmd(a),
		newKeygenCmd(a),
		newCheckCmd(a),
		newApplyCmd(a),
		newStatusCmd(a),
		newRevertCmd(a),
		newUnloadCmd(a),
		newListCmd(a),
		newInstallCmd(a),
		newUninstallCmd(a),
		newBootCmd(a),
	}
}

// nArgs wants exactly n arguments, named in the error.
func nArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s takes %s; see '%s --help'", cmd.Name(), what, cmd.CommandPath())
		}
		return nil
	}
}
