package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/outcome"
)

type seriesLintOptions struct {
	kernelOptions
	arch string
	json bool
}

func newSeriesLintCmd(a *app) *cobra.Command {
	var o seriesLintOptions
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Let the compiler and sparse complain about the lines of the series",
		Long: `lint builds the kernel of the series if it is not built yet, compiles what is
made from the C files of the series once more with all warnings of kbuild's W=1
and under sparse, and shows what is said of the lines that the series wrote. What
the base's own lines bring up is the base's. C files that this configuration
leaves out are listed, so that silence about them is not taken for praise.

  kernlab series lint                        arm64
  kernlab series lint --arch all             both architectures
  kernlab series lint --without vmf          without a topic

The kernel's style checker is another command: kernlab series check --checkpatch.

` + outcome.ExitStatus(),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSeriesLint(cmd.Context(), a, &o) },
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.StringVar(&o.arch, "arch", "arm64", "architecture: arm64, x86_64 or all")
	f.BoolVar(&o.json, "json", false, "print what was found as JSON")
	_ = f.MarkHidden("plain")
	return cmd
}

// seriesLint is what lint found.
type seriesLint struct {
	Outcome outcome.Outcome `json:"outcome"`
	Arches  []archLint      `json:"architectures"`
}

type archLint struct {
	Arch     string    `json:"arch"`
	Objects  int       `json:"objects"`
	Unseen   []string  `json:"not_compiled"`
	Findings diag.List `json:"findings"`
}

func runSeriesLint(ctx context.Context, a *app, o *seriesLintOptions) error {
	if o.plain {
		return usageError{errors.New("lint is about the series' lines: the plain base has none")}
	}
	arches, err := parseArches(o.arch)
	if err != nil {
		return err
	}
	b, err := a.builder(&o.kernelOptions)
	if err != nil {
		return err
	}
	r := &seriesLint{Outcome: outcome.Pass}
	for _, ar := range arches {
		l, err := b.Lint(ctx, o.request(ar))
		if err != nil {
			return err
		}
		if len(l.Findings) > 0 {
			r.Outcome = outcome.Fail
		}
		r.Arches = append(r.Arches, archLint{ar.Name, l.Objects, l.Unseen, l.Findings})
	}
	if err := show(a.out, o.json, r); err != nil {
		return err
	}
	if r.Outcome != outcome.Pass {
		return exitError(r.Outcome.Exit())
	}
	return nil
}

func (r *seriesLint) text(w io.Writer) error {
	for _, l := range r.Arches {
		for _, d := range l.Findings {
			fmt.Fprintf(w, "%s (%s)\n", d.Error(), l.Arch)
		}
		for _, f := range l.Unseen {
			fmt.Fprintf(w, "note: %s is not compiled in this configuration (%s)\n", f, l.Arch)
		}
		fmt.Fprintf(w, "%s: %s compiled with W=1 and under sparse, %s in lines of the series\n",
			l.Arch, plural(l.Objects, "object", "objects"), plural(len(l.Findings), "finding", "findings"))
	}
	_, err := fmt.Fprintln(w, r.Outcome)
	return err
}
