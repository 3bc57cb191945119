package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/tree"
)

type seriesExportOptions struct {
	tree   string
	topics []string
	force  bool
	json   bool
}

func newSeriesExportCmd(a *app) *cobra.Command {
	var o seriesExportOptions
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the tree's commits back as patch files",
		Long: `export writes every commit after the base of a git tree (kernlab tree) to
kernel-patches/<topic>/NNNN-subsystem-what.patch and rewrites the file
kernel-patches/series, whose comments stay. The trailer Topic: says where a
commit goes; numbers and names follow the order and the subjects. An unchanged
tree changes no byte.

It refuses a tree with uncommitted changes, with fixup! commits or with a rebase
in progress, and says how to get out of it. If the patch files changed since the
tree was made, exporting would undo that: it refuses, unless --force is given.
When it is interrupted, the series is as it was or as it is to be.

  kernlab tree                              make out/tree
  cd out/tree; $EDITOR kernel/fork.c; git commit -a --fixup :/task-protect
  git rebase -i --autosquash base
  kernlab series export                     back in the repository

` + outcome.ExitStatus(),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSeriesExport(cmd.Context(), a, &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.tree, "tree", "", "the git tree (default: out/tree in the repository)")
	f.StringSliceVar(&o.topics, "topic", nil, "export only the commits of this `topic`, and leave the patch files of others alone (may be given several times)")
	f.BoolVar(&o.force, "force", false, "write over patch files that the tree was not made from")
	f.BoolVar(&o.json, "json", false, "print what was done as JSON")
	return cmd
}

// treeDir returns the directory of the tree that a command is about.
func (a *app) treeDir(dir string) string {
	if dir == "" {
		return filepath.Join(a.root, "out", "tree")
	}
	return dir
}

type seriesExport struct {
	*tree.Exported
	Findings diag.List `json:"findings"` // rules that the patches break
}

func runSeriesExport(ctx context.Context, a *app, o *seriesExportOptions) error {
	t, err := tree.Open(ctx, a.treeDir(o.tree))
	if err != nil {
		return err
	}
	done, err := t.Export(ctx, a.patches(), tree.ExportOptions{Topics: o.topics, Force: o.force})
	if err != nil {
		return err
	}
	r := &seriesExport{Exported: done, Findings: diag.List{}}
	s, err := a.loadSeries(nil)
	if err != nil {
		return err
	}
	r.Findings = append(r.Findings, s.Check(os.DirFS(a.root))...)
	return show(a.out, o.json, r)
}

func (r *seriesExport) text(w io.Writer) error {
	for _, n := range r.Written {
		fmt.Fprintln(w, "wrote   "+n)
	}
	for _, n := range r.Removed {
		fmt.Fprintln(w, "removed "+n)
	}
	for _, f := range r.Extra {
		fmt.Fprintf(w, "note: %s is in the tree and in no commit; git add -f adds it\n", f)
	}
	for _, d := range r.Findings {
		fmt.Fprintln(w, "note: "+d.Error())
	}
	if len(r.Written)+len(r.Removed) == 0 {
		_, err := fmt.Fprintf(w, "nothing to do: the patch files are as the tree has them (%s)\n", plural(r.Kept, "patch", "patches"))
		return err
	}
	_, err := fmt.Fprintf(w, "%d written, %d removed, %d as they were\n", len(r.Written), len(r.Removed), r.Kept)
	return err
}
