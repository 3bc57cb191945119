package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/base"
	"cloudkernel/tools/internal/git"
	"cloudkernel/tools/internal/series"
	"cloudkernel/tools/internal/store"
)

// lab is a repository of patches, a base and a tree, all tiny.
type lab struct {
	t       *testing.T
	store   *store.Store
	src     *base.Source
	patches string // directory of the series
	dir     string // of the tree
}

func newLab(t *testing.T) *lab {
	t.Helper()
	return labAt(t, t.TempDir())
}

// pathsOf returns the lab in a directory.
func pathsOf(t *testing.T, root string) *lab {
	t.Helper()
	if !git.Available() {
		t.Skip("no git on this machine")
	}
	l := &lab{t: t, store: store.Open(filepath.Join(root, "cache")), patches: filepath.Join(root, "kernel-patches"), dir: filepath.Join(root, "out", "tree")}
	l.src = &base.Source{Dir: filepath.Join(root, "base"), Version: "6.12.117", Digest: strings.Repeat("ab", 32)}
	return l
}

// labAt makes a lab in a directory: a base, and a series without patches.
func labAt(t *testing.T, root string) *lab {
	t.Helper()
	l := pathsOf(t, root)
	var fork strings.Builder
	for i := range 40 {
		fmt.Fprintf(&fork, "\tline %d;\n", i)
	}
	l.write(l.src.Dir, "kernel/fork.c", fork.String())
	l.write(l.src.Dir, "kernel/exit.c", "int exit;\n")
	l.write(l.src.Dir, "lib/crlf.txt", "one\r\ntwo\r\n")
	l.write(l.src.Dir, "lib/noeol.txt", "no end")
	l.write(l.src.Dir, ".gitattributes", "*.c diff=cpp\n")
	l.write(l.src.Dir, ".gitignore", "*.o\n*.orig\n")
	l.write(l.src.Dir, "lib/kept.orig", "ignored by git, and part of the base\n")
	if err := os.Symlink("fork.c", filepath.Join(l.src.Dir, "kernel/link.c")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(l.src.Dir, "kernel/exit.c"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.write(l.patches, "series", "# The patches.\n")
	return l
}

// template is a lab whose tree was made, developed in and exported. Most tests
// begin with a copy of it: making one takes forty runs of git.
var template = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "cloudkernel-tree-test-") })

var templateMade sync.Once

// developed returns a lab with three exported patches.
func developed(t *testing.T) *lab {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	templateMade.Do(func() {
		l := labAt(t, from)
		l.mustSync(Made)
		l.develop()
		l.mustExport()
	})
	root := filepath.Join(t.TempDir(), "lab")
	if err := os.CopyFS(root, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return pathsOf(t, root)
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := template(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func (l *lab) write(dir, name, data string) {
	l.t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) sync() (*Tree, Done, error) {
	l.t.Helper()
	s, err := series.Load(l.patches)
	if err != nil {
		l.t.Fatal(err)
	}
	return Sync(l.t.Context(), l.store, l.src, s, l.dir, nil)
}

func (l *lab) mustSync(want Done) *Tree {
	l.t.Helper()
	tr, done, err := l.sync()
	if err != nil {
		l.t.Fatal(err)
	}
	if done != want {
		l.t.Fatalf("the tree was %s, want %s", done, want)
	}
	return tr
}

func (l *lab) export(opt ExportOptions) (*Exported, error) {
	l.t.Helper()
	tr, err := Open(l.t.Context(), l.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	return tr.Export(l.t.Context(), l.patches, opt)
}

func (l *lab) mustExport() *Exported {
	l.t.Helper()
	done, err := l.export(ExportOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	return done
}

func (l *lab) git(args ...string) string {
	l.t.Helper()
	out, err := git.Repo{Dir: l.dir}.Run(l.t.Context(), args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func message(subject, topic string) string {
	return subject + "\n\nWhy it is done.\n\nTopic: " + topic + "\nUpstream-Status: Pending\nTested-by-case: smoke/boot\nHotpatchable: yes\n"
}

// commit commits everything in the tree.
func (l *lab) commit(msg string, args ...string) {
	l.t.Helper()
	l.git("add", "-A", "-f")
	l.git(append([]string{"commit", "--quiet", "-m", msg}, args...)...)
}

// files returns the patch files and the series file.
func (l *lab) files() map[string]string {
	l.t.Helper()
	files := map[string]string{}
	for _, pattern := range []string{"series", "*/*"} {
		paths, err := filepath.Glob(filepath.Join(l.patches, pattern))
		if err != nil {
			l.t.Fatal(err)
		}
		for _, p := range paths {
			data, err := os.ReadFile(p)
			if err != nil {
				continue // a directory
			}
			rel, _ := filepath.Rel(l.patches, p)
			files[rel] = string(data)
		}
	}
	return files
}

// develop makes commits of every kind that a patch can be.
func (l *lab) develop() {
	l.t.Helper()
	fork := filepath.Join(l.dir, "kernel/fork.c")
	text, err := os.ReadFile(fork)
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(l.dir, "kernel/fork.c", strings.Replace(string(text), "\tline 20;\n", "\tline 20;\n\tadded;\n", 1))
	l.write(l.dir, "kernel/new.c", "int x;\n\n\n \t\nint y;\n")
	l.commit(message("kernel: add a line and a file", "one"), "--author", "Jörg Müller <j.mueller@example.org>", "--date", "2026-01-05T12:00:00+0545")
	l.write(l.dir, "lib/crlf.txt", "one\r\nzwei\r\n")
	l.write(l.dir, "lib/noeol.txt", "no end\nagain no end")
	l.write(l.dir, "lib/empty", "")
	l.commit(message("lib: line ends of all kinds, and a subject so long that git folds it over two lines", "one"), "--date", "2026-01-05T12:00:00-0330")
	for _, err := range []error{
		os.Rename(filepath.Join(l.dir, "kernel/exit.c"), filepath.Join(l.dir, "kernel/leave.c")),
		os.Remove(filepath.Join(l.dir, "kernel/link.c")),
		os.Symlink("leave.c", filepath.Join(l.dir, "kernel/link.c")),
		os.Chmod(fork, 0o755),
		os.Remove(filepath.Join(l.dir, "lib/kept.orig")),
	} {
		if err != nil {
			l.t.Fatal(err)
		}
	}
	l.commit(message("kernel: ümläute, a rename, a link and a mode", "two"), "--author", "A \"Quoted\" B. <a@example.org>", "--date", "2026-01-06T00:00:00+0000")
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.mustSync(Made)
	l.develop()
	want := l.git("rev-parse", "HEAD^{tree}")
	done := l.mustExport()
	names := []string{"one/0001-kernel-add-a-line-and-a-file.patch", "one/0002-lib-line-ends-of-all-kinds-and-a-subject-so-long-tha.patch", "two/0001-kernel-ml-ute-a-rename-a-link-and-a-mode.patch"}
	if !slices.Equal(done.Written, names) {
		t.Errorf("wrote %q", done.Written)
	}
	first := l.files()
	if !strings.Contains(first[names[0]], "\nDate: Mon, 5 Jan 2026 06:15:00 +0000\n") {
		t.Errorf("the date is not in UTC:\n%s", first[names[0]])
	}
	if done := l.mustExport(); len(done.Written)+len(done.Removed) > 0 || done.Kept != 3 {
		t.Errorf("an unchanged tree exports %+v", done)
	}
	messages := l.git("log", "--format=%an <%ae> %at%n%B", "base..HEAD")

	// Made again from the patch files alone, the tree is the same and exports
	// the same bytes.
	if err := os.RemoveAll(l.dir); err != nil {
		t.Fatal(err)
	}
	l.mustSync(Made)
	if got := l.git("rev-parse", "HEAD^{tree}"); got != want {
		t.Errorf("imported tree %s, want %s", got, want)
	}
	if got := l.git("log", "--format=%an <%ae> %at%n%B", "base..HEAD"); got != messages {
		t.Error(cmp.Diff(messages, got))
	}
	if got := l.git("status", "--porcelain", "--ignored"); got != "" {
		t.Errorf("a new tree is not clean:\n%s", got)
	}
	l.mustExport()
	if diff := cmp.Diff(first, l.files()); diff != "" {
		t.Errorf("export, import, export:\n%s", diff)
	}
}

// TestSameAsGitAm applies the exported patches with plain git am and wants the
// commits that Sync makes.
func TestSameAsGitAm(t *testing.T) {
	t.Parallel()
	l := developed(t)
	if err := os.RemoveAll(l.dir); err != nil {
		t.Fatal(err)
	}
	l.mustSync(Made)
	const format = "--format=%T %an <%ae> %at%n%B"
	want := l.git("log", format, "base..HEAD")
	l.git("checkout", "--quiet", "-b", "am", "base")
	s, err := series.Load(l.patches)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Patches {
		l.git("am", "--quiet", "--keep-cr", p.File)
	}
	if diff := cmp.Diff(want, l.git("log", format, "base..HEAD")); diff != "" {
		t.Errorf("ours -, git am's +\n%s", diff)
	}
}

// TestSameCommitsEverywhere makes two trees of one series in different places
// and wants the same commit ids.
func TestSameCommitsEverywhere(t *testing.T) {
	t.Parallel()
	l := developed(t)
	var heads []string
	for _, name := range []string{"a", "b"} {
		l.dir = filepath.Join(t.TempDir(), name)
		tr := l.mustSync(Made)
		head, err := tr.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, head)
	}
	if heads[0] != heads[1] {
		t.Errorf("heads %v", heads)
	}
	if l.git("log", "-1", "--format=%cn %ct", "HEAD") != "cloudkernel 1767657600" {
		t.Error("the committer depends on who made the tree, or when")
	}
	// The tree does not need the store.
	if err := os.RemoveAll(l.store.Dir()); err != nil {
		t.Fatal(err)
	}
	l.git("fsck", "--full", "--strict")
}

// TestUpdate changes patch files under trees that hold all kinds of work.
func TestUpdate(t *testing.T) {
	for _, c := range []struct {
		name string
		work func(l *lab) // in the tree, before the patch files change
		err  string       // what Sync says, "" if it updates
	}{
		{"nothing", func(*lab) {}, ""},
		{"an untracked file", func(l *lab) { l.write(l.dir, "notes", "x") }, ""},
		{"an ignored file", func(l *lab) { l.write(l.dir, "a.o", "x") }, ""},
		{"an exported commit", func(l *lab) {
			l.write(l.dir, "lib/mine.c", "x\n")
			l.commit(message("lib: mine", "two"))
			l.mustExport()
		}, ""},
		{"a changed file", func(l *lab) { l.write(l.dir, "kernel/new.c", "edited\n") }, "changes that are not committed:\n   M kernel/new.c"},
		{"a staged file", func(l *lab) { l.write(l.dir, "staged.c", "x"); l.git("add", "staged.c") }, "changes that are not committed:\n  A  staged.c"},
		{"a commit", func(l *lab) { l.write(l.dir, "kernel/new.c", "mine\n"); l.commit(message("kernel: mine", "two")) }, "commits that are not exported:\n  "},
		{"a commit on no branch", func(l *lab) { l.git("checkout", "-q", "--detach"); l.commit("x", "--allow-empty") }, "HEAD is on no branch"},
		{"a commit on another branch", func(l *lab) { l.git("switch", "-q", "-c", "mine"); l.commit("x", "--allow-empty") }, ""},
		{"a commit left behind on the branch", func(l *lab) { l.commit("x", "--allow-empty"); l.git("switch", "-q", "-c", "other", "HEAD~") }, "commits that are not exported"},
		{"a renamed branch", func(l *lab) { l.commit("x", "--allow-empty"); l.git("branch", "-m", "series", "my-work") }, ""},
		{"a rebase", func(l *lab) { _ = os.Mkdir(filepath.Join(l.dir, ".git/rebase-merge"), 0o755) }, "a rebase is unfinished"},
		{"git am", func(l *lab) {
			_ = os.Mkdir(filepath.Join(l.dir, ".git/rebase-apply"), 0o755)
			l.write(l.dir, ".git/rebase-apply/applying", "")
		}, "git am is unfinished"},
		{"an untracked file in the way", func(l *lab) { l.write(l.dir, "kernel/third.c", "precious\n") }, "nothing was changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := developed(t)
			l.mustSync(Current)
			c.work(l)
			before := treeState(l)
			// Somebody else's change to the patch files: a third topic.
			other := newLab(t)
			other.patches, other.dir = l.patches, filepath.Join(t.TempDir(), "other")
			other.mustSync(Made)
			other.write(other.dir, "kernel/third.c", "int third;\n")
			other.commit(message("kernel: a third file", "three"))
			other.mustExport()

			_, done, err := l.sync()
			if c.err == "" {
				if err != nil || done != Updated {
					t.Fatalf("%s, %v", done, err)
				}
				if _, err := os.Stat(filepath.Join(l.dir, "kernel/third.c")); err != nil {
					t.Error(err)
				}
				l.mustSync(Current)
				if done := l.mustExport(); len(done.Written) > 0 {
					t.Errorf("an updated tree exports %v", done.Written)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Fatalf("%s, error %v, want %q", done, err, c.err)
			}
			if diff := cmp.Diff(before, treeState(l)); diff != "" {
				t.Errorf("a refused update changed the tree:\n%s", diff)
			}
		})
	}
}

// treeState is what must not change when a command refuses to touch a tree.
func treeState(l *lab) string {
	l.t.Helper()
	return l.git("rev-parse", "HEAD") + "\n" + l.git("for-each-ref", "refs/heads", "refs/tags") + "\n" + l.git("status", "--porcelain") + "\n" + l.git("diff", "HEAD")
}

// TestWorkIsKept follows the way out that the refusal of Sync names.
func TestWorkIsKept(t *testing.T) {
	t.Parallel()
	l := developed(t)
	old := l.git("rev-parse", "HEAD")
	l.write(l.dir, "lib/mine.c", "int mine;\n")
	l.commit(message("lib: mine", "three"))
	other := newLab(t)
	other.patches, other.dir = l.patches, filepath.Join(t.TempDir(), "other")
	other.mustSync(Made)
	other.write(other.dir, "kernel/third.c", "int third;\n")
	other.commit(message("kernel: a third file", "three"))
	other.mustExport()

	for _, err := range []error{second(l.export(ExportOptions{})), third(l.sync())} {
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("branch -m %s my-work", Branch)) || !strings.Contains(err.Error(), fmt.Sprintf("rebase --onto %s %.12s my-work", Branch, old)) {
			t.Fatalf("error %v", err)
		}
	}
	l.git("branch", "-m", Branch, "my-work")
	l.mustSync(Updated)
	l.git("rebase", "--quiet", "--onto", Branch, old[:12], "my-work")
	l.git("switch", "--quiet", "-C", Branch, "my-work")
	if done := l.mustExport(); !slices.Equal(done.Written, []string{"three/0002-lib-mine.patch"}) {
		t.Errorf("exported %+v", done)
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

func TestExportRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		work func(l *lab)
		err  string
	}{
		{"a changed file", func(l *lab) { l.write(l.dir, "kernel/new.c", "x\n") }, "changes that are not committed:\n   M kernel/new.c"},
		{"a fixup", func(l *lab) { l.write(l.dir, "a.c", "x\n"); l.commit("fixup! kernel: add a line and a file") }, "git rebase -i --autosquash"},
		{"no topic", func(l *lab) { l.write(l.dir, "a.c", "x\n"); l.commit("a: x\n\nWhy.") }, "no trailer Topic:"},
		{"a bad topic", func(l *lab) { l.write(l.dir, "a.c", "x\n"); l.commit(message("a: x", "../up")) }, "is no topic"},
		{"an empty commit", func(l *lab) { l.commit(message("a: x", "two"), "--allow-empty") }, "it has no diff"},
		{"a merge", func(l *lab) {
			l.git("checkout", "-q", "-b", "side", "HEAD~")
			l.write(l.dir, "a.c", "x\n")
			l.commit(message("a: x", "two"))
			l.git("checkout", "-q", Branch)
			l.git("merge", "-q", "--no-edit", "side")
		}, "is a merge"},
		{"brackets", func(l *lab) { l.write(l.dir, "a.c", "x\n"); l.commit(message("[RFC] a: x", "two")) }, "would not survive git am"},
		{"a cut in the message", func(l *lab) {
			l.write(l.dir, "a.c", "x\n")
			l.commit(strings.Replace(message("a: x", "two"), "Why it is done.", "Before\n---\nafter.", 1))
		}, "would not survive git am"},
		{"white space", func(l *lab) {
			l.write(l.dir, "a.c", "x\n")
			l.commit(strings.Replace(message("a: x", "two"), "Why it is done.", "Trailing  \n\n\n\nspace.", 1), "--cleanup=verbatim")
		}, "would not survive git am"},
		{"a binary file", func(l *lab) { l.write(l.dir, "logo.png", "\x00\x01\x02"); l.commit(message("a: x", "two")) }, "logo.png is binary"},
		{"scattered topics", func(l *lab) { l.write(l.dir, "a.c", "x\n"); l.commit(message("a: x", "one")) }, "a: x: move it up to the other commits of topic one"},
		{"another branch", func(l *lab) { l.git("switch", "-q", "-c", "mine") }, "is on branch mine, the series is branch series"},
		{"another base", func(l *lab) {
			l.git("checkout", "-q", "--orphan", "x")
			l.commit(message("a: x", "two"))
			l.git("branch", "-M", "x", Branch)
		}, "does not stand on the base"},
		{"a rebase", func(l *lab) { _ = os.Mkdir(filepath.Join(l.dir, ".git/rebase-merge"), 0o755) }, "a rebase is unfinished"},
		{"patch files edited by hand", func(l *lab) {
			name := "one/0001-kernel-add-a-line-and-a-file.patch"
			l.write(l.patches, name, strings.Replace(l.files()[name], "Why it is done.", "Edited.", 1))
		}, "exporting would undo that"},
		{"a broken series", func(l *lab) { l.write(l.patches, "series", "one/0009-none.patch\n") }, "the patch files must be sound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := developed(t)
			c.work(l)
			before, state := l.files(), treeState(l)
			if _, err := l.export(ExportOptions{}); err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if diff := cmp.Diff(before, l.files()); diff != "" {
				t.Errorf("a refused export changed the patch files:\n%s", diff)
			}
			if diff := cmp.Diff(state, treeState(l)); diff != "" {
				t.Errorf("a refused export changed the tree:\n%s", diff)
			}
		})
	}
}

// TestExportForeignTree exports one topic of a git repository that Sync did not
// make, and leaves the others alone.
func TestExportForeignTree(t *testing.T) {
	t.Parallel()
	l := developed(t)
	before := l.files()
	dir := l.dir
	l.dir = filepath.Join(t.TempDir(), "foreign")
	git.Repo{Dir: "."}.Run(t.Context(), "clone", "--quiet", dir, l.dir)
	l.write(l.dir, "lib/three.c", "x\n")
	l.commit(message("lib: three", "three"))
	if _, err := l.export(ExportOptions{Topics: []string{"three"}}); err == nil || !strings.Contains(err.Error(), "was not made by kernlab tree") {
		t.Errorf("without --force: %v", err)
	}
	if _, err := l.export(ExportOptions{Topics: []string{"four"}, Force: true}); err == nil || !strings.Contains(err.Error(), "no commit of topic four; it has one, two, three") {
		t.Errorf("no such topic: %v", err)
	}
	done, err := l.export(ExportOptions{Topics: []string{"three"}, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(done.Written, []string{"three/0001-lib-three.patch"}) || done.Kept != 3 {
		t.Errorf("%+v", done)
	}
	after := l.files()
	for name, data := range before {
		if name != "series" && after[name] != data {
			t.Errorf("%s changed", name)
		}
	}
}

// TestExportIgnoresConfiguration sets what could change a patch in the tree's
// own configuration and in the user's.
func TestExportIgnoresConfiguration(t *testing.T) {
	l := developed(t)
	want := l.files()
	home := t.TempDir()
	t.Setenv("HOME", home)
	config := "[diff]\n\tnoprefix = true\n\trenames = copies\n\talgorithm = minimal\n\tcontext = 7\n\tmnemonicPrefix = true\n\tsuppressBlankEmpty = true\n\torderFile = order\n\tinterHunkContext = 9\n[format]\n\tsignOff = true\n\tattach = true\n\tsubjectPrefix = X\n\tcoverLetter = true\n\tto = a@example.org\n\theaders = \"X-A: b\\n\"\n\tsuffix = .txt\n\tsignature = me\n\tnumbered = true\n\tfrom = true\n\tthread = shallow\n\tencodeEmailHeaders = false\n\tuseAutoBase = true\n[core]\n\tabbrev = 7\n\tquotePath = false\n[i18n]\n\tlogOutputEncoding = latin1\n[color]\n\tui = always\n"
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(l.dir, ".git", "config")
	data, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, append(data, config...), 0o644); err != nil {
		t.Fatal(err)
	}
	if done := l.mustExport(); len(done.Written) > 0 {
		t.Errorf("wrote %v:\n%s", done.Written, cmp.Diff(want, l.files()))
	}
}

func TestUntrackedFilesAreNamed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.mustSync(Made)
	l.develop()
	l.write(l.dir, "kernel/forgotten.c", "x\n")
	if done := l.mustExport(); !slices.Equal(done.Extra, []string{"kernel/forgotten.c"}) {
		t.Errorf("named %v", done.Extra)
	}
}

// In Debian's source git says nothing of a new file, and git add refuses it.
func TestUntrackedFilesAreNamedInDebiansSource(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.write(l.src.Dir, ".gitignore", "*.o\n*.orig\n/*\n!/debian/\n")
	l.mustSync(Made)
	l.write(l.dir, "kernel/made.o", "x\n")
	l.write(l.dir, "kernel/forgotten.c", "x\n")
	l.write(l.dir, "notes/todo", "x\n")
	if got := l.git("status", "--porcelain"); got != "" {
		t.Fatalf("git names them by itself: %s", got)
	}
	if done := l.mustExport(); !slices.Equal(done.Extra, []string{"kernel/forgotten.c", "notes/"}) {
		t.Errorf("named %v", done.Extra)
	}
}

func TestSyncRefusesWhatItDidNotMake(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.write(l.dir, "mine", "x")
	if _, _, err := l.sync(); err == nil || !strings.Contains(err.Error(), "is no git work tree") {
		t.Errorf("a directory with files: %v", err)
	}
	l.git("init", "--quiet", ".")
	if _, _, err := l.sync(); err == nil || !strings.Contains(err.Error(), "did not make") {
		t.Errorf("a foreign repository: %v", err)
	}
}

// TestSyncAfterAKill leaves what a killed Sync leaves, and syncs again.
func TestSyncAfterAKill(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.write(filepath.Dir(l.dir), ".tree.new/.git/HEAD", "half")
	if err := os.MkdirAll(l.dir, 0o755); err != nil { // an empty directory is no obstacle
		t.Fatal(err)
	}
	l.mustSync(Made)
	if _, err := os.Stat(filepath.Join(filepath.Dir(l.dir), ".tree.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is there: %v", err)
	}
}

// TestNewBase moves a tree to another base.
func TestNewBase(t *testing.T) {
	t.Parallel()
	l := developed(t)
	if err := os.Remove(filepath.Join(l.src.Dir, "kernel/fork.c")); err != nil {
		t.Fatal(err)
	}
	var fork bytes.Buffer
	for i := range 40 {
		fmt.Fprintf(&fork, "\tline %d;\n", i-1)
	}
	l.write(l.src.Dir, "kernel/fork.c", fork.String())
	l.src.Version, l.src.Digest = "6.12.118", strings.Repeat("cd", 32)
	l.mustSync(Updated)
	if got := l.git("log", "-1", "--format=%s", BaseTag); got != "Linux 6.12.118" {
		t.Errorf("base is %q", got)
	}
	done := l.mustExport()
	if !slices.Equal(done.Written, []string{"one/0001-kernel-add-a-line-and-a-file.patch"}) {
		t.Errorf("moved hunks are written anew: wrote %v", done.Written)
	}
}

// TestMoveToANewBase brings patches to a release that they do not apply to, by
// the commands that kernlab tree names.
func TestMoveToANewBase(t *testing.T) {
	t.Parallel()
	l := developed(t)
	tr, err := Open(t.Context(), l.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.FetchBase(t.Context(), l.store, l.src, nil); err == nil || !strings.Contains(err.Error(), "stands on Linux 6.12.117 already") {
		t.Errorf("the same base: %v", err)
	}
	fork := "\tline 19;\n\tline 20;\n\tline 21, but different;\n"
	l.write(l.src.Dir, "kernel/fork.c", fork)
	l.src.Version, l.src.Digest = "6.12.118", strings.Repeat("cd", 32)
	if _, _, err := l.sync(); err == nil || !strings.Contains(err.Error(), "does not apply to kernel/fork.c") {
		t.Fatalf("error %v", err)
	}
	before := treeState(l)
	tag, err := tr.FetchBase(t.Context(), l.store, l.src, nil)
	if err != nil || tag != "base-6.12.118" {
		t.Fatal(tag, err)
	}
	if got := treeState(l); !strings.HasPrefix(got, before[:40]) || l.git("rev-parse", BaseTag) == l.git("rev-parse", tag) {
		t.Error("fetching a base moved the tree")
	}
	if done := l.mustExport(); len(done.Written) > 0 {
		t.Errorf("before the rebase: %+v", done.Change)
	}
	repo := git.Repo{Dir: l.dir}
	if _, err := repo.Run(t.Context(), "rebase", "--quiet", "--onto", tag, BaseTag, Branch); err == nil {
		t.Fatal("the rebase has no conflict: the test shows nothing")
	}
	if _, err := l.export(ExportOptions{}); err == nil || !strings.Contains(err.Error(), "a rebase is unfinished") {
		t.Errorf("in the middle of the rebase: %v", err)
	}
	l.write(l.dir, "kernel/fork.c", strings.Replace(fork, "\tline 21", "\tadded;\n\tline 21", 1))
	l.git("add", "kernel/fork.c")
	l.git("-c", "core.editor=true", "rebase", "--continue")
	done := l.mustExport()
	if !slices.Contains(done.Written, "one/0001-kernel-add-a-line-and-a-file.patch") {
		t.Errorf("after the rebase: %+v", done.Change)
	}
	l.mustSync(Current)
	if done := l.mustExport(); len(done.Written) > 0 {
		t.Errorf("exported again: %+v", done.Change)
	}
	if got := l.git("log", "-1", "--format=%s", BaseTag); got != "Linux 6.12.118" {
		t.Errorf("the tag base is %s", got)
	}
	if err := os.RemoveAll(l.dir); err != nil {
		t.Fatal(err)
	}
	l.mustSync(Made) // and the patch files apply to the new base
}

// TestSeriesThatDoesNotApply leaves no tree, and names the patch.
func TestSeriesThatDoesNotApply(t *testing.T) {
	t.Parallel()
	l := developed(t)
	l.write(l.src.Dir, "kernel/fork.c", "another file\n")
	l.src.Digest = strings.Repeat("ef", 32)
	before := treeState(l)
	if _, _, err := l.sync(); err == nil || !strings.Contains(err.Error(), "0001-kernel-add-a-line-and-a-file.patch:") {
		t.Errorf("error %v", err)
	}
	after := treeState(l)
	if cut := func(s string) string { h, _, _ := strings.Cut(s, "\n"); return h }; cut(before) != cut(after) {
		t.Error("HEAD moved")
	}
	l.dir = filepath.Join(t.TempDir(), "new")
	if _, _, err := l.sync(); err == nil {
		t.Error("a tree was made")
	}
	if left, _ := filepath.Glob(filepath.Dir(l.dir) + "/.*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
