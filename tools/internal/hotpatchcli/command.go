package hotpatchcli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Command returns the hotpatch command, for what is generated from it: the
// manual pages. It is not for running.
func Command() *cobra.Command {
	return newRoot(&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
}
