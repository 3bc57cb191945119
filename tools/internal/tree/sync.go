package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"cloudkernel/tools/internal/base"
	"cloudkernel/tools/internal/git"
	"cloudkernel/tools/internal/series"
	"cloudkernel/tools/internal/store"
)

// Done says what Sync did.
type Done string

const (
	Made    Done = "made"    // there was no tree
	Updated Done = "updated" // the patch files had changed
	Current Done = "current" // it shows the patch files already
)

// committer makes the commits of every tree; the author is the patch's.
var committer = git.Person{Name: "cloudkernel", Email: "cloudkernel@localhost"}

// Sync makes the tree in dir, or brings it up to date with the series. A tree
// with work that the patch files do not have is left alone: it is an error when
// the patch files have changed as well, and Current when they have not. out is
// given progress bars.
func Sync(ctx context.Context, st *store.Store, src *base.Source, s *series.Series, dir string, out io.Writer) (*Tree, Done, error) {
	if out == nil {
		out = io.Discard
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, "", err
	}
	// What does not apply is told before anything costly is done.
	if _, err := s.Apply(os.DirFS(src.Dir)); err != nil {
		return nil, "", err
	}
	unlock, err := st.Lock(ctx, "tree", keyOf(dir), func() { fmt.Fprintf(out, "waiting for another kernlab to finish with %s\n", dir) })
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		t, err := create(ctx, st, src, s, dir, out)
		return t, Made, err
	}
	if err != nil {
		return nil, "", err
	}
	t, err := Open(ctx, dir)
	if err != nil {
		return nil, "", err
	}
	if t.made == nil {
		return nil, "", fmt.Errorf("%s is a git repository that kernlab tree did not make; name another directory", dir)
	}
	done, err := t.update(ctx, st, src, s, out)
	return t, done, err
}

// create makes the tree beside its place and moves it there when it is whole.
func create(ctx context.Context, st *store.Store, src *base.Source, s *series.Series, dir string, out io.Writer) (*Tree, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	tmp := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".new")
	if err := os.RemoveAll(tmp); err != nil { // of a killed run: we hold the lock
		return nil, err
	}
	t, err := createAt(ctx, st, src, s, tmp, out)
	if err == nil {
		_ = os.Remove(dir) // an empty one is in the way
		err = os.Rename(tmp, dir)
	}
	if err != nil {
		_ = os.RemoveAll(tmp)
		return nil, err
	}
	t.Dir, t.repo.Dir = dir, dir
	return t, nil
}

func createAt(ctx context.Context, st *store.Store, src *base.Source, s *series.Series, dir string, out io.Writer) (*Tree, error) {
	bare, release, err := baseRepo(ctx, st, src, out)
	if err != nil {
		return nil, err
	}
	defer release()
	parent := git.Repo{Dir: filepath.Dir(dir)}
	// A local clone hard-links the packs: it costs nothing, and outlives the
	// store's entry.
	if _, err := parent.Run(ctx, "clone", "--quiet", "--local", "--no-checkout", "--origin", "base", "--", bare, dir); err != nil {
		return nil, err
	}
	t := &Tree{Dir: dir, repo: git.Repo{Dir: dir}}
	if _, err := t.repo.Run(ctx, "remote", "remove", "base"); err != nil {
		return nil, err
	}
	next, err := t.importSeries(ctx, src, s)
	if err != nil {
		return nil, err
	}
	if _, err := t.repo.Run(ctx, "symbolic-ref", "HEAD", "refs/heads/"+Branch); err != nil {
		return nil, err
	}
	if _, err := t.repo.Run(ctx, "update-ref", "refs/heads/"+Branch, next.Head); err != nil {
		return nil, err
	}
	// reset rather than checkout: the index is empty, not changed.
	if err := t.repo.Checkout(ctx, out, "write the tree", "-c", "core.logAllRefUpdates=true", "checkout", "--force", "--progress", Branch); err != nil {
		return nil, err
	}
	if err := t.forgetOtherRefs(ctx); err != nil {
		return nil, err
	}
	return t, t.writeState(ctx, next)
}

// forgetOtherRefs removes the branches that cloning brought.
func (t *Tree) forgetOtherRefs(ctx context.Context) error {
	refs, err := t.repo.Lines(ctx, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes", "refs/cloudkernel")
	for _, r := range refs {
		if r != "refs/heads/"+Branch && err == nil {
			_, err = t.repo.Run(ctx, "update-ref", "-d", r)
		}
	}
	return err
}

// update moves an existing tree to the series, if nothing in it would be lost.
func (t *Tree) update(ctx context.Context, st *store.Store, src *base.Source, s *series.Series, out io.Writer) (Done, error) {
	if t.made.Series == s.Digest() && t.made.Base == src.Digest {
		return Current, nil
	}
	w, err := t.inspect(ctx)
	if err != nil {
		return "", err
	}
	if err := t.mayMove(ctx, w); err != nil {
		return "", err
	}
	if t.made.Base != src.Digest {
		if _, err := t.fetchBase(ctx, st, src, BaseTag, out); err != nil {
			return "", err
		}
	}
	next, err := t.importSeries(ctx, src, s)
	if err != nil {
		return "", err
	}
	// reset compares what stat(2) says before content; a tree that was copied
	// or touched would look changed.
	if _, err := t.repo.OK(ctx, "update-index", "-q", "--refresh"); err != nil {
		return "", err
	}
	// --keep refuses to touch a file that differs from HEAD; untracked files
	// in the way are refused as well.
	if w.branch == Branch {
		err = t.repo.Checkout(ctx, out, "update the tree", "reset", "--keep", next.Head)
	} else {
		err = t.repo.Checkout(ctx, out, "update the tree", "checkout", "--progress", "-B", Branch, next.Head)
	}
	if err != nil {
		return "", fmt.Errorf("%w\nnothing was changed; move what is in the way and run kernlab tree again", err)
	}
	if _, err := t.repo.Run(ctx, "update-ref", "-d", importRef); err != nil {
		return "", err
	}
	return Updated, t.writeState(ctx, next)
}

// mayMove refuses to move a tree that holds work the patch files do not have.
func (t *Tree) mayMove(ctx context.Context, w *work) error {
	keep := fmt.Sprintf("the patch files changed since %s was made, and it holds work they do not have", t.Dir)
	aside := fmt.Sprintf("\nto keep it and take the new patch files:\n  git -C %s branch -m %s my-work\n  kernlab tree %s\n  git -C %s rebase --onto %s %.12s my-work",
		t.Dir, Branch, t.Dir, t.Dir, Branch, t.made.Head)
	switch {
	case w.doing != "":
		return errors.New(w.doing)
	case len(w.changed) > 0:
		return fmt.Errorf("%s: changes that are not committed:%s\ncommit them (or git stash), then run kernlab tree again", keep, list(w.changed))
	case w.branch == "" && w.head != t.made.Head:
		return fmt.Errorf("%s: HEAD is on no branch, at %.12s; give it one: git -C %s switch -c my-work", keep, w.head, t.Dir)
	}
	tip, err := t.repo.Run(ctx, "rev-parse", "--verify", "--quiet", "refs/heads/"+Branch)
	if err != nil && tip == "" {
		return nil // renamed: its commits are safe under another name
	}
	if tip != t.made.Head {
		n, err := t.repo.Lines(ctx, "log", "--format=%h %s", t.made.Head+".."+tip)
		if err != nil {
			return err
		}
		return fmt.Errorf("%s: commits that are not exported:%s%s", keep, list(n), aside)
	}
	return nil
}

// importRef holds what importSeries made until a branch does.
const importRef = "refs/cloudkernel/import"

// importSeries commits the patches one by one on the base. It touches neither
// branches nor the work tree.
func (t *Tree) importSeries(ctx context.Context, src *base.Source, s *series.Series) (*state, error) {
	baseCommit, err := t.repo.Run(ctx, "rev-parse", "--verify", "refs/tags/"+BaseTag+"^{commit}")
	if err != nil {
		return nil, err
	}
	next := &state{Base: src.Digest, Version: src.Version, Commit: baseCommit, Series: s.Digest(), Head: baseCommit}
	im := t.repo.Import(ctx)
	err = im.Reset(importRef, baseCommit)
	if err == nil {
		_, err = s.ApplyEach(os.DirFS(src.Dir), func(p *series.Patch, changed map[string]series.File) error {
			when := p.Date.UTC()
			by := committer
			by.When = when
			if err := im.Commit(importRef, git.Person{Name: p.Author, Email: p.Email, When: when}, by, p.Message()); err != nil {
				return err
			}
			return writeChanges(im, changed)
		})
	}
	if err := im.End(err); err != nil {
		return nil, err
	}
	next.Head, err = t.repo.Run(ctx, "rev-parse", "--verify", importRef)
	return next, err
}

func writeChanges(im *git.Importer, changed map[string]series.File) error {
	names := make([]string, 0, len(changed))
	for n := range changed {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names { // removals first: a file may become a directory
		if changed[n].Deleted {
			if err := im.Delete(n); err != nil {
				return err
			}
		}
	}
	for _, n := range names {
		if f := changed[n]; !f.Deleted {
			if err := im.File(n, f.Mode, f.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

// baseTime is the date of every base commit: the day Linux 6.12 was released.
var baseTime = time.Date(2024, time.November, 17, 0, 0, 0, 0, time.UTC)
