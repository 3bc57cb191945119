package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cloudkernel/tools/internal/base"
	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/series"
)

func newSeriesCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "series",
		Short: "Check, show, export, verify and lint the patch series",
		Long: `The patch series lies in kernel-patches/: the file series lists patches in the
order they apply, the file base pins the Linux release they apply to. Patch files
are the truth; a git tree to work in is made of them by kernlab tree, and turned
back into them by kernlab series export.

` + outcome.ExitStatus(),
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newSeriesCheckCmd(a), newSeriesStatusCmd(a), newSeriesExportCmd(a), newSeriesVerifyCmd(a), newSeriesLintCmd(a))
	return cmd
}

// baseOptions say where the base comes from.
type baseOptions struct {
	base   string
	sha256 string
}

func (o *baseOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.base, "base", "", "take the base from this tree or tarball, or from this `source` of kernel-patches/base")
	f.StringVar(&o.sha256, "base-sha256", "", "digest that --base must have, where kernel-patches/base knows none")
}

// patches returns the directory of the series, the way a person would write it
// from the current directory.
func (a *app) patches() string {
	dir := filepath.Join(a.root, "kernel-patches")
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, dir); err == nil && len(rel) < len(dir) {
			return rel
		}
	}
	return dir
}

// getBase returns the base, protected until release is called.
func (a *app) getBase(ctx context.Context, o baseOptions) (*base.Source, func(), error) {
	pin, err := base.ReadPin(filepath.Join(a.patches(), "base"))
	if err != nil {
		return nil, nil, err
	}
	st, err := a.store()
	if err != nil {
		return nil, nil, err
	}
	return base.Get(ctx, st, pin, base.Options{Base: o.base, SHA256: o.sha256, Progress: a.err})
}

// loadSeries loads the series without some topics.
func (a *app) loadSeries(without []string) (*series.Series, error) {
	s, err := series.Load(a.patches())
	if err != nil || len(without) == 0 {
		return s, err
	}
	if s, err = s.Without(without...); err != nil {
		return nil, usageError{err}
	}
	return s, nil
}

// findings returns the diagnostics in an error, or false when it is another
// kind of error, such as one of the command line.
func findings(err error) (diag.List, bool) {
	var list diag.List
	var usage usageError
	ok := errors.As(err, &list) && !errors.As(err, &usage)
	return list, ok
}

// printed is what a command found out, shown as text or as JSON.
type printed interface {
	text(w io.Writer) error
}

func show(w io.Writer, asJSON bool, p printed) error {
	if !asJSON {
		return p.text(w)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(p)
}

// rows aligns the cells of a table in columns. A column is to the right when
// its first cell begins with a space.
func rows(w io.Writer, table [][]string) error {
	width := map[int]int{}
	for _, row := range table {
		for i, c := range row {
			width[i] = max(width[i], len([]rune(strings.TrimSpace(c))))
		}
	}
	for _, row := range table {
		var b strings.Builder
		for i, c := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			c = strings.TrimSpace(c)
			pad := strings.Repeat(" ", width[i]-len([]rune(c)))
			if strings.HasPrefix(table[0][i], " ") {
				b.WriteString(pad + c)
			} else {
				b.WriteString(c + pad)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// plural returns "1 patch" and "2 patches".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
