package hotpatchcli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"cloudkernel/kpatch-arm64/module"
	"cloudkernel/tools/internal/livepatch"
)

func newInspectCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect FIX.ko",
		Short: "Show what a hotpatch is, and which kernel it is for",
		Long: `inspect prints the manifest inside a hotpatch: the kernel it was made for, the
patches and the compiler it was made from, and what it replaces. It needs no
livepatch kernel and no root.

` + ExitStatus(),
		Args: nArgs(1, "one module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := livepatch.ReadFile(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.out, map[string]any{"sha256": f.SHA256, "signed": livepatch.Signed(f.Data), "manifest": f.Manifest})
			}
			printManifest(a.out, f)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printManifest(w io.Writer, f *livepatch.File) {
	m := f.Manifest
	row := func(key, format string, args ...any) { fmt.Fprintf(w, "%-10s %s\n", key, fmt.Sprintf(format, args...)) }
	row("name", "%s", m.Name)
	row("kernel", "%s (%s), build-id %s", m.Release, m.Arch, m.BuildID)
	for _, p := range m.Patches {
		row("patch", "%s %s (sha256 %s)", p.Name, p.Subject, p.SHA256)
	}
	row("compiler", "%s", m.Compiler)
	row("replaces", "%s", map[bool]string{true: "all hotpatches applied before it", false: "no other hotpatch"}[m.Replace])
	row("signed", "%v", livepatch.Signed(f.Data))
	row("sha256", "%s", f.SHA256)
	for _, o := range m.Objects {
		printObject(w, o)
	}
	for _, p := range m.Pinned {
		row("pinned", "%s", p)
	}
	for _, n := range m.Warnings {
		row("warning", "%s", n)
	}
	for _, n := range m.Notes {
		row("note", "%s", n)
	}
}

func printObject(w io.Writer, o module.ManifestObject) {
	fmt.Fprintf(w, "in %s (%s)\n", o.Name, strings.Join(o.Files, ", "))
	for _, fn := range o.Functions {
		pos := ""
		if fn.Sympos > 0 {
			pos = fmt.Sprintf(" (number %d of this name)", fn.Sympos)
		}
		fmt.Fprintf(w, "  changed   %s%s\n", fn.Name, pos)
	}
	for _, n := range o.New {
		fmt.Fprintf(w, "  new       %s\n", n)
	}
	for _, n := range o.Data {
		fmt.Fprintf(w, "  data      %s\n", n)
	}
	for _, n := range o.Callbacks {
		fmt.Fprintf(w, "  callback  %s\n", n)
	}
}
