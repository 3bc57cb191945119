package tree

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"cloudkernel/tools/internal/series"
)

// ExportOptions say what Export may do.
type ExportOptions struct {
	Topics []string // only these; the patch files of others stay as they are
	Force  bool     // even if the patch files are not those the tree was made from
}

// Exported says what Export did.
type Exported struct {
	*series.Change
	Extra []string `json:"untracked"` // files in the tree that git neither tracks nor ignores
}

// Export writes the tree's commits to the patch files of the series in dir.
func (t *Tree) Export(ctx context.Context, dir string, opt ExportOptions) (*Exported, error) {
	s, err := series.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("the patch files must be sound before they are written over (git checkout %s brings them back):\n%w", dir, err)
	}
	commits, extra, err := t.Format(ctx)
	if err != nil {
		return nil, err
	}
	if !opt.Force {
		if err := t.maySupersede(s); err != nil {
			return nil, err
		}
	}
	patches, err := choose(s, commits, opt.Topics)
	if err != nil {
		return nil, err
	}
	change, err := s.Write(patches)
	if err != nil {
		return nil, err
	}
	if t.made != nil {
		if err := t.remember(ctx, dir, commits); err != nil {
			return nil, err
		}
	}
	return &Exported{change, extra}, nil
}

// remember notes that the patch files come from the tree, and that the tree
// holds nothing more if they have all its commits.
func (t *Tree) remember(ctx context.Context, dir string, commits []Commit) error {
	s, err := series.Load(dir)
	if err != nil {
		return err
	}
	next := *t.made
	next.Series = s.Digest()
	same := func(c Commit, p *series.Patch) bool { return bytes.Equal(c.Data, p.Data) }
	if slices.EqualFunc(commits, s.Patches, same) {
		if next.Head, err = t.repo.Run(ctx, "rev-parse", "HEAD"); err != nil {
			return err
		}
	}
	if err := t.settle(ctx, &next); err != nil {
		return err
	}
	return t.writeState(ctx, &next)
}

// maySupersede refuses to write over patch files that the tree never saw.
func (t *Tree) maySupersede(s *series.Series) error {
	switch {
	case t.made == nil:
		return fmt.Errorf("%s was not made by kernlab tree, so nothing says whether it has everything that the patch files have; if it has, add --force", t.Dir)
	case t.made.Series != s.Digest():
		return fmt.Errorf("the patch files changed since %s was made (a git pull, an edit by hand?), and exporting would undo that\nto take the change into your commits:\n  git -C %s branch -m %s my-work\n  kernlab tree %s\n  git -C %s rebase --onto %s %.12s my-work\n  git -C %s switch -C %s my-work\nor write over them with --force", t.Dir, t.Dir, Branch, t.Dir, t.Dir, Branch, t.made.Head, t.Dir, Branch)
	}
	return nil
}

// choose returns the patches that the series is to have: the commits, or with
// topics named, the commits of those and the present patches of all others.
func choose(s *series.Series, commits []Commit, topics []string) ([]series.New, error) {
	byTopic := map[string][]series.New{}
	var order []string
	for _, c := range commits {
		if !slices.Contains(order, c.Topic) {
			order = append(order, c.Topic)
		}
		byTopic[c.Topic] = append(byTopic[c.Topic], c.New)
	}
	if len(topics) > 0 {
		for _, t := range topics {
			if byTopic[t] == nil {
				return nil, fmt.Errorf("the tree has no commit of topic %s; it has %s", t, strings.Join(order, ", "))
			}
		}
		order = s.Topics()
		for _, t := range order {
			if slices.Contains(topics, t) {
				continue
			}
			byTopic[t] = nil
			for _, p := range s.Topic(t) {
				byTopic[t] = append(byTopic[t], series.New{Topic: t, Subject: p.Subject, Data: p.Data})
			}
		}
		for _, t := range topics {
			if !slices.Contains(order, t) {
				order = append(order, t)
			}
		}
	}
	var patches []series.New
	for _, t := range order {
		patches = append(patches, byTopic[t]...)
	}
	return patches, nil
}
