package cli

import "github.com/spf13/cobra"

// commands returns kernlab's subcommands, one constructor a line.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newBuildCmd(a),
		newCacheCmd(a),
		newBootCmd(a),
		newCICmd(a),
		newTestCmd(a),
		newBenchCmd(a),
		newDoctorCmd(a),
		newHotpatchSampleCmd(a),
		newSeriesCmd(a),
		newTreeCmd(a),
		newCompletionCmd(a),
		newGenCmd(a),
	}
}
