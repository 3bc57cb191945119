package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/tree"
)

type treeOptions struct {
	baseOptions
	fetch bool
	json  bool
}

func newTreeCmd(a *app) *cobra.Command {
	var o treeOptions
	cmd := &cobra.Command{
		Use:   "tree [DIR]",
		Short: "Make or update a git tree of the series, to edit and commit in",
		Long: `tree makes a git repository in DIR (default: out/tree) whose branch series is
the base and one commit for each patch. Edit and commit there as in any kernel
tree; git commit --fixup and git rebase -i base work. Then kernlab series export
writes the commits back as patch files. A new file is added with git add -f: the
.gitignore of Debian's source ignores all that it does not know.

Run again, it brings the tree up to date with patch files that changed. A tree
that holds work the patch files do not have is never moved: the command says what
it found, and how to keep it.

To bring the patches to another release that they do not apply to, pin it in
kernel-patches/base, then:

  kernlab tree --fetch-base                  the new base as tag base-6.12.118
  git -C out/tree rebase --onto base-6.12.118 base series
  kernlab series export                      the tree stands on the new base now

The first tree of a base takes a minute, a further one seconds: git stores the
base's files once, in the cache.

` + outcome.ExitStatus(),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := ""
			if len(args) > 0 {
				dir = args[0]
			}
			return runTree(cmd.Context(), a, &o, a.treeDir(dir))
		},
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.BoolVar(&o.fetch, "fetch-base", false, "only put the base into the tree as tag base-VERSION, to rebase onto; move nothing")
	f.BoolVar(&o.json, "json", false, "print what was done as JSON")
	return cmd
}

type treeResult struct {
	Dir        string    `json:"dir"`
	Done       tree.Done `json:"done"`
	Patches    int       `json:"patches"`
	Base       string    `json:"base"`
	Head       string    `json:"head"`
	Unexported []string  `json:"unexported"` // commits and changes that the patch files do not have
}

func runTree(ctx context.Context, a *app, o *treeOptions, dir string) error {
	s, err := a.loadSeries(nil)
	if err != nil {
		return err
	}
	src, release, err := a.getBase(ctx, o.baseOptions)
	if err != nil {
		return err
	}
	defer release()
	st, err := a.store()
	if err != nil {
		return err
	}
	if o.fetch {
		t, err := tree.Open(ctx, dir)
		if err != nil {
			return err
		}
		tag, err := t.FetchBase(ctx, st, src, a.err)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "%s has Linux %s as %s; now:\n  git -C %s rebase --onto %s %s %s\n  kernlab series export\n",
			t.Dir, src.Version, tag, t.Dir, tag, tree.BaseTag, tree.Branch)
		return err
	}
	t, done, err := tree.Sync(ctx, st, src, s, dir, a.err)
	if err != nil {
		return err
	}
	r := &treeResult{Dir: t.Dir, Done: done, Patches: len(s.Patches), Base: src.Version, Unexported: []string{}}
	if r.Head, err = t.Head(ctx); err != nil {
		return err
	}
	work, err := t.Unexported(ctx)
	if err != nil {
		return err
	}
	r.Unexported = append(r.Unexported, work...)
	return show(a.out, o.json, r)
}

func (r *treeResult) text(w io.Writer) error {
	for _, u := range r.Unexported {
		fmt.Fprintln(w, "not exported: "+u)
	}
	_, err := fmt.Fprintf(w, "%s %s: Linux %s and %s, at %.12s\n", r.Done, r.Dir, r.Base, plural(r.Patches, "patch", "patches"), r.Head)
	return err
}
