package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"cloudkernel/tools/internal/series"
)

// Commit is a commit of the tree as a patch file.
type Commit struct {
	ID string
	series.New
}

// rawCommit is what git keeps of a commit, to compare what its mail says with.
type rawCommit struct {
	id, author, email string
	when              time.Time
	message           string
	parents           int
}

// Format returns the commits after the base, oldest first, as canonical patch
// files. It refuses a tree in which not everything is committed, and commits
// that are no patch of a series: fixups, merges, empty ones, ones without a
// topic, ones whose message git am would change. extra lists files that git
// neither tracks nor ignores, which no patch will have.
func (t *Tree) Format(ctx context.Context) (commits []Commit, extra []string, err error) {
	w, err := t.inspect(ctx)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case w.doing != "":
		return nil, nil, errors.New(w.doing)
	case len(w.changed) > 0:
		return nil, nil, fmt.Errorf("%s holds changes that are not committed:%s\ncommit them, fold them in (git commit --amend, or git commit --fixup and git rebase -i --autosquash %s), or put them aside (git stash)",
			t.Dir, list(w.changed), BaseTag)
	case t.made != nil && w.branch != Branch:
		on := "no branch"
		if w.branch != "" {
			on = "branch " + w.branch
		}
		return nil, nil, fmt.Errorf("%s is on %s, the series is branch %s: git -C %s switch %s, or make what you have the series with git -C %s switch -C %s",
			t.Dir, on, Branch, t.Dir, Branch, t.Dir, Branch)
	}
	from, err := t.base(ctx)
	if err != nil {
		return nil, nil, err
	}
	raw, err := t.log(ctx, from)
	if err != nil {
		return nil, nil, err
	}
	mails, err := t.formatPatch(ctx, from)
	if err != nil {
		return nil, nil, err
	}
	if len(mails) != len(raw) {
		return nil, nil, fmt.Errorf("git format-patch made %d patches of %d commits", len(mails), len(raw))
	}
	var faults []string
	for i, c := range raw {
		data, err := dateInUTC(mails[i])
		if err != nil {
			return nil, nil, fmt.Errorf("commit %.12s: %w", c.id, err)
		}
		p, err := check(c, data)
		if err != nil {
			faults = append(faults, fmt.Sprintf("%.12s %s: %v", c.id, subjectOf(c.message), err))
			continue
		}
		commits = append(commits, Commit{c.id, series.New{Topic: p.Trailer("Topic"), Subject: p.Subject, Data: data}})
	}
	faults = append(faults, scattered(commits)...)
	if len(faults) > 0 {
		return nil, nil, fmt.Errorf("these commits of %s are no patches yet:%s\nrewrite them with: git -C %s rebase -i %s", t.Dir, list(faults), t.Dir, BaseTag)
	}
	return commits, w.extra, nil
}

// base returns the commit below the first patch, after making sure that HEAD
// still stands on it.
func (t *Tree) base(ctx context.Context) (string, error) {
	from := "refs/tags/" + BaseTag
	if t.made != nil {
		from = t.made.Commit
	}
	moved, err := t.moved(ctx)
	if err != nil {
		return "", err
	}
	if moved {
		from = t.made.Next.Commit
	}
	id, err := t.repo.Run(ctx, "rev-parse", "--verify", "--quiet", from+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("%s has no tag %s that says where the patches begin; set it with git tag %s <commit>", t.Dir, BaseTag, BaseTag)
	}
	ok, err := t.repo.OK(ctx, "merge-base", "--is-ancestor", id, "HEAD")
	if err == nil && !ok {
		err = fmt.Errorf("HEAD of %s does not stand on the base, commit %.12s: rebase it onto that", t.Dir, id)
	}
	return id, err
}

// log returns the commits after from, oldest first.
func (t *Tree) log(ctx context.Context, from string) ([]rawCommit, error) {
	out, err := t.repo.Run(ctx, "log", "--topo-order", "--reverse", "--no-mailmap", "-z", "--format=%H%x01%an%x01%ae%x01%aI%x01%P%x01%B", from+"..HEAD")
	if err != nil || out == "" {
		return nil, err
	}
	var commits []rawCommit
	for _, rec := range strings.Split(strings.TrimSuffix(out, "\x00"), "\x00") {
		f := strings.SplitN(rec, "\x01", 6)
		if len(f) != 6 {
			return nil, fmt.Errorf("git log printed %q", rec)
		}
		when, err := time.Parse(time.RFC3339, f[3])
		if err != nil {
			return nil, fmt.Errorf("commit %.12s: author date: %w", f[0], err)
		}
		c := rawCommit{id: f[0], author: f[1], email: f[2], when: when, parents: len(strings.Fields(f[4])), message: f[5]}
		if c.parents != 1 {
			return nil, fmt.Errorf("commit %.12s of %s is a merge; a series is a straight line: git -C %s rebase %s", c.id, t.Dir, t.Dir, BaseTag)
		}
		commits = append(commits, c)
	}
	return commits, nil
}

// formatPatch returns the mails of git format-patch, in the one form that
// patch files have.
func (t *Tree) formatPatch(ctx context.Context, from string) ([][]byte, error) {
	dir, err := os.MkdirTemp("", "kernlab-export-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	_, err = t.repo.Run(ctx,
		"-c", "diff.suppressBlankEmpty=false", "-c", "format.headers=", "-c", "format.useAutoBase=false",
		"-c", "diff.ignoreSubmodules=none", "-c", "format.notes=false", "-c", "format.mboxrd=false", "-c", "format.filenameMaxLength=64",
		"format-patch", "--quiet", "--output-directory", dir, "--always",
		"--no-signature", "--zero-commit", "--no-stat", "--full-index", "-N", "--subject-prefix=PATCH", "--encode-email-headers",
		"--no-attach", "--no-thread", "--no-signoff", "--no-cover-letter", "--no-to", "--no-cc", "--no-add-header", "--no-from", "--no-notes",
		"--no-renames", "--diff-algorithm=histogram", "--indent-heuristic", "-U3", "--inter-hunk-context=0",
		"-O/dev/null", "--src-prefix=a/", "--dst-prefix=b/", "--no-color", "--no-ext-diff", "--no-textconv", "--suffix=.patch",
		from+"..HEAD")
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files) // numbered with at least four digits
	sort.SliceStable(files, func(i, j int) bool { return len(numberOf(files[i])) < len(numberOf(files[j])) })
	mails := make([][]byte, len(files))
	for i, f := range files {
		if mails[i], err = os.ReadFile(f); err != nil {
			return nil, err
		}
	}
	return mails, nil
}

func numberOf(file string) string {
	n, _, _ := strings.Cut(filepath.Base(file), "-")
	return n
}

// dateInUTC rewrites the Date header of a mail, so that a patch does not depend
// on where its author's clock stands.
func dateInUTC(data []byte) ([]byte, error) {
	const key = "\nDate: "
	head, _, _ := bytes.Cut(data, []byte("\n\n"))
	i := bytes.Index(head, []byte(key))
	if i < 0 {
		return nil, errors.New("its mail has no date")
	}
	i += len(key)
	n := bytes.IndexByte(data[i:], '\n')
	when, err := mail.ParseDate(string(data[i : i+n]))
	if err != nil {
		return nil, err
	}
	utc := when.UTC().Format("Mon, 2 Jan 2006 15:04:05 -0700")
	return slices.Concat(data[:i], []byte(utc), data[i+n:]), nil
}

// check returns the patch that the mail of a commit holds, if applying it gives
// that commit again.
func check(c rawCommit, data []byte) (*series.Patch, error) {
	subject := subjectOf(c.message)
	for _, f := range []string{"fixup!", "squash!", "amend!"} {
		if strings.HasPrefix(subject, f) {
			return nil, errors.New("it waits to be folded in: git rebase -i --autosquash")
		}
	}
	p, err := series.Parse("its patch", data)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Message() != strings.TrimRight(c.message, "\n")+"\n":
		return nil, errors.New("its message would not survive git am: no brackets before the subject, one line and an empty one below it, no line that begins with --- or diff -, no white space at the end of lines")
	case p.Author != c.author || p.Email != c.email:
		return nil, fmt.Errorf("its author %q <%s> would not survive git am", c.author, c.email)
	case !p.Date.Equal(c.when):
		return nil, fmt.Errorf("its author date %s would not survive git am", c.when)
	case p.Trailer("Topic") == "":
		return nil, errors.New("no trailer Topic: says which topic it belongs to")
	}
	return p, nil
}

func subjectOf(message string) string {
	s, _, _ := strings.Cut(message, "\n")
	return s
}

// scattered reports topics whose commits do not stand together.
func scattered(commits []Commit) []string {
	var faults []string
	seen := map[string]bool{}
	for i, c := range commits {
		if i > 0 && commits[i-1].Topic == c.Topic {
			continue
		}
		if seen[c.Topic] {
			faults = append(faults, fmt.Sprintf("%.12s %s: move it up to the other commits of topic %s", c.ID, c.Subject, c.Topic))
		}
		seen[c.Topic] = true
	}
	return faults
}
