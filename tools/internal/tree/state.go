package tree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cloudkernel/tools/internal/git"
)

// Branch is the branch that holds the series, and BaseTag the tag of the commit
// below its first patch.
const (
	Branch  = "series"
	BaseTag = "base"
)

// state is what a tree remembers of the patch files it was made from.
type state struct {
	Base    string `json:"base"`    // digest of the base
	Version string `json:"version"` // release of the base
	Commit  string `json:"commit"`  // the base's commit
	Series  string `json:"series"`  // digest of the patch files
	Head    string `json:"head"`    // the commit that the patch files end at

	Next *baseCommit `json:"next,omitempty"` // base that FetchBase brought, until an export stands on it
}

// Tree is a git repository made by Sync, or any other one that has the tag
// base.
type Tree struct {
	Dir  string
	repo git.Repo
	made *state // nil when Sync did not make it
}

// Open opens the tree in dir.
func Open(ctx context.Context, dir string) (*Tree, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	t := &Tree{Dir: dir, repo: git.Repo{Dir: dir}}
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is no git work tree; make one with kernlab tree %s", dir, dir)
		}
		return nil, err
	}
	file, err := t.stateFile(ctx)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	t.made = &state{}
	if err := json.Unmarshal(data, t.made); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", file, err)
	}
	return t, nil
}

func (t *Tree) stateFile(ctx context.Context) (string, error) {
	p, err := t.repo.Run(ctx, "rev-parse", "--git-path", "cloudkernel.json")
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(p) {
		p = filepath.Join(t.Dir, p)
	}
	return p, nil
}

func (t *Tree) writeState(ctx context.Context, s *state) error {
	file, err := t.stateFile(ctx)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp := file + ".new"
	if err := os.WriteFile(tmp, append(data, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.Rename(tmp, file); err != nil {
		return err
	}
	t.made = s
	return nil
}

// work is what stands in the way of moving a tree, or of exporting it.
type work struct {
	head    string
	branch  string   // "" when HEAD is detached
	doing   string   // an unfinished rebase, merge …, "" for none
	changed []string // tracked files that differ from HEAD, as git status --porcelain says
	extra   []string // files that git neither tracks nor ignores, but for ignoreAll
}

// inspect asks git what is going on in the tree.
func (t *Tree) inspect(ctx context.Context) (*work, error) {
	w := &work{}
	var err error
	if w.head, err = t.repo.Run(ctx, "rev-parse", "--verify", "HEAD^{commit}"); err != nil {
		return nil, fmt.Errorf("%s has no commit: %w", t.Dir, err)
	}
	w.branch, err = t.repo.Run(ctx, "symbolic-ref", "--quiet", "--short", "HEAD")
	var e *git.Error
	if err != nil && !(errors.As(err, &e) && e.Code == 1) {
		return nil, err
	}
	if w.doing, err = t.unfinished(ctx); err != nil {
		return nil, err
	}
	lines, err := t.repo.Lines(ctx, "status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=none")
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l, "?? "); ok {
			w.extra = append(w.extra, rest)
		} else {
			w.changed = append(w.changed, l)
		}
	}
	hidden, err := t.hidden(ctx)
	if err != nil {
		return nil, err
	}
	w.extra = append(w.extra, hidden...)
	return w, nil
}

// operations are the files by which git remembers an unfinished command, and
// how it is finished.
var operations = []struct{ file, name, finish string }{
	{"rebase-merge", "a rebase", "git rebase --continue (or --abort)"},
	{"rebase-apply/applying", "git am", "git am --continue (or --abort)"},
	{"rebase-apply", "a rebase", "git rebase --continue (or --abort)"},
	{"MERGE_HEAD", "a merge", "git merge --continue (or --abort)"},
	{"CHERRY_PICK_HEAD", "a cherry-pick", "git cherry-pick --continue (or --abort)"},
	{"REVERT_HEAD", "a revert", "git revert --continue (or --abort)"},
	{"BISECT_LOG", "a bisection", "git bisect reset"},
}

func (t *Tree) unfinished(ctx context.Context) (string, error) {
	args := []string{"rev-parse"}
	for _, op := range operations {
		args = append(args, "--git-path", op.file)
	}
	paths, err := t.repo.Lines(ctx, args...)
	if err != nil {
		return "", err
	}
	for i, p := range paths {
		if !filepath.IsAbs(p) {
			p = filepath.Join(t.Dir, p)
		}
		if _, err := os.Stat(p); err == nil {
			op := operations[i]
			return fmt.Sprintf("%s is unfinished in %s; first finish it there: %s", op.name, t.Dir, op.finish), nil
		}
	}
	return "", nil
}

// list shortens a list of files for a message.
func list(files []string) string {
	const most = 8
	out := ""
	for i, f := range files {
		if i == most {
			return out + fmt.Sprintf("\n  … and %d more", len(files)-most)
		}
		out += "\n  " + f
	}
	return out
}

// Head returns the commit that the tree is at.
func (t *Tree) Head(ctx context.Context) (string, error) {
	return t.repo.Run(ctx, "rev-parse", "HEAD")
}

// Unexported lists work that the patch files do not have: commits and changes.
func (t *Tree) Unexported(ctx context.Context) ([]string, error) {
	if t.made == nil {
		return nil, nil
	}
	w, err := t.inspect(ctx)
	if err != nil {
		return nil, err
	}
	lines, err := t.repo.Lines(ctx, "log", "--format=%h %s", t.made.Head+"..HEAD")
	if err != nil {
		return nil, err
	}
	return append(lines, w.changed...), nil
}
