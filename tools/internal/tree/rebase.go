package tree

import (
	"context"
	"fmt"
	"io"

	"cloudkernel/tools/internal/base"
	"cloudkernel/tools/internal/store"
)

// baseCommit is a base that a tree has a commit of.
type baseCommit struct {
	Base    string `json:"base"`    // digest of the source
	Version string `json:"version"` // its release
	Commit  string `json:"commit"`
}

// FetchBase puts another base into the tree, as a tag whose name it returns,
// and moves nothing. After `git rebase --onto TAG base` an export takes the tag
// for the base: that is how patches that no longer apply to a new release are
// brought there.
func (t *Tree) FetchBase(ctx context.Context, st *store.Store, src *base.Source, out io.Writer) (tag string, err error) {
	if t.made == nil {
		return "", fmt.Errorf("%s was not made by kernlab tree", t.Dir)
	}
	if out == nil {
		out = io.Discard
	}
	unlock, err := st.Lock(ctx, "tree", keyOf(t.Dir), nil)
	if err != nil {
		return "", err
	}
	defer unlock()
	if t.made.Base == src.Digest {
		return "", fmt.Errorf("%s stands on Linux %s already; first change kernel-patches/base, or give --base", t.Dir, src.Version)
	}
	tag = BaseTag + "-" + src.Version
	id, err := t.fetchBase(ctx, st, src, tag, out)
	if err != nil {
		return "", err
	}
	next := *t.made
	next.Next = &baseCommit{Base: src.Digest, Version: src.Version, Commit: id}
	return tag, t.writeState(ctx, &next)
}

// fetchBase sets a tag of the tree to the commit of a base and returns it.
func (t *Tree) fetchBase(ctx context.Context, st *store.Store, src *base.Source, tag string, out io.Writer) (string, error) {
	bare, release, err := baseRepo(ctx, st, src, out)
	if err != nil {
		return "", err
	}
	defer release()
	if _, err := t.repo.Run(ctx, "fetch", "--quiet", "--no-tags", "--force", bare, "refs/tags/"+BaseTag+":refs/tags/"+tag); err != nil {
		return "", err
	}
	return t.repo.Run(ctx, "rev-parse", "--verify", "refs/tags/"+tag+"^{commit}")
}

// moved reports whether HEAD was rebased onto the base that FetchBase brought.
func (t *Tree) moved(ctx context.Context) (bool, error) {
	if t.made == nil || t.made.Next == nil {
		return false, nil
	}
	return t.repo.OK(ctx, "merge-base", "--is-ancestor", t.made.Next.Commit, "HEAD")
}

// settle makes the base that HEAD was rebased onto the base of s, and of the
// tree.
func (t *Tree) settle(ctx context.Context, s *state) error {
	moved, err := t.moved(ctx)
	if err != nil || !moved {
		return err
	}
	s.Base, s.Version, s.Commit, s.Next = s.Next.Base, s.Next.Version, s.Next.Commit, nil
	_, err = t.repo.Run(ctx, "update-ref", "refs/tags/"+BaseTag, s.Commit)
	return err
}
