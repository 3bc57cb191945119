package hotpatchcli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newListCmd(a *app) *cobra.Command {
	var o hostFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List hotpatches that are loaded or installed",
		Long: `list prints one line for every hotpatch: its name, its state in the running
kernel, and whether it is installed. hotpatch status says more.

` + ExitStatus(),
		Args: nArgs(0, "no argument"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runList(a, o)
		},
	}
	o.add(cmd.Flags())
	return cmd
}

// listEntry is one line of list.
type listEntry struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	Installed bool   `json:"installed"`
}

func runList(a *app, o hostFlags) error {
	s, err := o.host().Status()
	if err != nil {
		return err
	}
	list := []listEntry{}
	at := map[string]int{}
	for _, p := range s.Patches {
		at[p.Name] = len(list)
		list = append(list, listEntry{Name: p.Name, State: string(p.State)})
	}
	for _, i := range s.Installed {
		n, ok := at[i.Name]
		if !ok {
			n = len(list)
			list = append(list, listEntry{Name: i.Name, State: string(i.State)})
		}
		list[n].Installed = true
	}
	if o.json {
		return printJSON(a.out, list)
	}
	for _, e := range list {
		mark := ""
		if e.Installed {
			mark = "installed"
		}
		fmt.Fprintf(a.out, "%-24s %-10s %s\n", e.Name, e.State, mark)
	}
	return nil
}
