package hotpatchcli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/arm64"
	"cloudkernel/kpatch-arm64/diff"
	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/object"
	"cloudkernel/tools/internal/outcome"
)

type diffOptions struct {
	explain, json bool
}

func newDiffCmd(a *app) *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff ORIG.o PATCHED.o",
		Short: "Say which functions of an object a change changed, and why",
		Long: `diff compares two objects of one source file, compiled before and after a
change with the same compiler and flags and with

  -ffunction-sections -fdata-sections -fno-section-anchors

and says which functions are changed, new or gone, which data come along, and
what could not be done to a running kernel. With --explain every line says why:
the first instruction that differs with its source line, or who needs it.

` + ExitStatus(),
		Example: "  hotpatch diff --explain before/meminfo.o after/meminfo.o",
		Args:    nArgs(2, "two objects"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDiff(a, o, args[0], args[1])
		},
	}
	cmd.Flags().BoolVar(&o.explain, "explain", false, "say why for every function and datum")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object, reasons included")
	return cmd
}

func runDiff(a *app, o diffOptions, origPath, patchedPath string) error {
	orig, err := readObject(origPath)
	if err != nil {
		return err
	}
	patched, err := readObject(patchedPath)
	if err != nil {
		return err
	}
	res, err := diff.Compare(orig, patched)
	if err != nil {
		return err
	}
	rep := res.Report()
	if o.json {
		err = rep.JSON(a.out)
	} else {
		rep.Text(a.out, o.explain)
	}
	switch {
	case err != nil:
		return err
	case len(rep.Refusals) > 0:
		return exitError(outcome.Fail)
	case res.Empty():
		return exitError(outcome.Skip)
	}
	return nil
}

// readObject reads an object of a supported architecture.
func readObject(path string) (*object.Object, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := elfw.Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	ar, err := archOf(f.Machine)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	obj, err := object.Read(data, ar)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return obj, nil
}

func archOf(machine uint16) (arch.Arch, error) {
	switch machine {
	case elfw.EmAArch64:
		return arm64.Arch, nil
	case elfw.EmX86_64:
		return nil, fmt.Errorf("x86_64 is not supported yet: hotpatch makes modules for arm64")
	}
	return nil, fmt.Errorf("ELF machine %d is not supported: hotpatch makes modules for arm64", machine)
}
