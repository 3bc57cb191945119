package series

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"cloudkernel/tools/internal/arch"
)

// loadArchive loads the series of testdata/series/<name>.txtar.
func loadArchive(t testing.TB, name string) (*Series, string) {
	t.Helper()
	ar, err := txtar.ParseFile("testdata/series/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	unpackArchive(t, ar, dir)
	s, err := Load(filepath.Join(dir, "kernel-patches"))
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func TestWithout(t *testing.T) {
	s, _ := loadArchive(t, "applies")
	for _, c := range []struct {
		without []string
		want    []string
		err     string
	}{
		{nil, []string{"one", "two"}, ""},
		{[]string{"two"}, []string{"one"}, ""},
		{[]string{"one", "two"}, nil, ""},
		{[]string{"one"}, nil, "cannot leave out one: two depends on it (leave out two too)"},
		{[]string{"three"}, nil, "cannot leave out three: the series has no such topic (it has one, two)"},
	} {
		got, err := s.Without(c.without...)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("without %v: error %v, want %s", c.without, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("without %v: %v", c.without, err)
		} else if !slices.Equal(got.Topics(), c.want) {
			t.Errorf("without %v: topics %v, want %v", c.without, got.Topics(), c.want)
		}
	}
}

// TestDigestIsOfContent shows that a message does not change the digest of what
// is applied, and that content and order do.
func TestDigestIsOfContent(t *testing.T) {
	s, dir := loadArchive(t, "applies")
	base := os.DirFS(filepath.Join(dir, "base"))
	apply := func(s *Series) string {
		t.Helper()
		a, err := s.Apply(base)
		if err != nil {
			t.Fatal(err)
		}
		return a.Digest()
	}
	first, files := apply(s), s.Digest()
	path := s.Patches[0].File
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(old, new string) *Series {
		t.Helper()
		if err := os.WriteFile(path, []byte(strings.Replace(string(data), old, new, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Load(s.Dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	worded := reload("Say why.", "Say it better.")
	if apply(worded) != first {
		t.Error("a message changed the digest of the content")
	}
	if worded.Digest() == files {
		t.Error("a message did not change the digest of the patch files")
	}
	if apply(reload("+added", "+other")) == first {
		t.Error("other content has the same digest")
	}
	if apply(s.Prefix(1)) == first {
		t.Error("fewer patches have the same digest")
	}
}

func TestApplyEachTellsEveryPatch(t *testing.T) {
	s, dir := loadArchive(t, "applies")
	var got []string
	_, err := s.ApplyEach(os.DirFS(filepath.Join(dir, "base")), func(p *Patch, changed map[string]File) error {
		for name, f := range changed {
			got = append(got, fmt.Sprintf("%s %s %d", p.Name, name, len(f.Data)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	want := []string{
		"one/0001-kernel-add.patch kernel/fork.c 157", "one/0002-kernel-file.patch kernel/new.c 4",
		"two/0001-kernel-more.patch kernel/new.c 6", "two/0001-kernel-more.patch scripts/run.sh 10",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	stop := errors.New("stop")
	if _, err := s.ApplyEach(os.DirFS(filepath.Join(dir, "base")), func(*Patch, map[string]File) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v, want the caller's", err)
	}
}

// TestCRLF shows that line ends are bytes like others.
func TestCRLF(t *testing.T) {
	diff := "diff --git a/a.c b/a.c\nindex 1111111..2222222 100644\n--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,2 @@\n one\r\n-two\r\n+zwei\r\n"
	p, err := Parse("topic/0001-x.patch", []byte(mailHead+diff))
	if err != nil {
		t.Fatal(err)
	}
	s := &Series{Patches: []*Patch{p}}
	a, err := s.Apply(fstest.MapFS{"a.c": {Data: []byte("one\r\ntwo\r\n"), Mode: 0o644}})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(a.Files["a.c"].Data); got != "one\r\nzwei\r\n" {
		t.Errorf("got %q", got)
	}
	if _, err := s.Apply(fstest.MapFS{"a.c": {Data: []byte("one\ntwo\n"), Mode: 0o644}}); err == nil {
		t.Error("a patch with CRLF applies to a file without")
	}
	if _, err := Parse("x", []byte(strings.ReplaceAll(mailHead+diff, "\n", "\r\n"))); err == nil || !strings.Contains(err.Error(), "CRLF") {
		t.Errorf("a mail with CRLF: %v", err)
	}
}

func TestStatus(t *testing.T) {
	s, _ := loadArchive(t, "applies")
	want := []Status{
		{Topic: "one", About: "first", Patches: 2, Upstream: []Upstream{{"Pending", 1}, {"Never", 1}},
			Existing: Stat{1, 1, 0}, New: Stat{1, 2, 0}, Hotpatchable: 1, Cold: []string{"one/0002-kernel-file.patch: it adds a file"}},
		{Topic: "two", About: "second", DependsOn: []string{"one"}, Patches: 1, Upstream: []Upstream{{"Superseded-in v6.17", 1}},
			New: Stat{2, 2, 0}, Hotpatchable: 1, Cold: []string{}},
	}
	if diff := cmp.Diff(want, s.Status()); diff != "" {
		t.Error(diff)
	}
}

type fakeBuilder struct {
	built []int
	fails int
}

func (b *fakeBuilder) BuildPrefix(_ context.Context, n int, _ *arch.Arch) error {
	b.built = append(b.built, n)
	if n == b.fails {
		return errors.New("kernel/fork.c:3: expected ';'")
	}
	return nil
}

func TestVerify(t *testing.T) {
	s, _ := loadArchive(t, "applies")
	for _, c := range []struct {
		from  string
		to    string
		fails int
		built []int
		err   string
	}{
		{"", "", 0, []int{1, 2, 3}, ""},
		{"one/0002", "", 0, []int{2, 3}, ""},
		{"0002-kernel-file.patch", "", 0, []int{2, 3}, ""},
		{"two/0001-kernel-more", "", 0, []int{3}, ""},
		{"", "", 2, []int{1, 2}, "one/0002-kernel-file.patch does not build for arm64: kernel/fork.c:3: expected ';'"},
		{"0001", "", 0, nil, "0001 could be one/0001-kernel-add.patch or two/0001-kernel-more.patch: give more of the name"},
		{"three", "", 0, nil, "the series has no patch three"},
		{"", "one/0002", 0, []int{1, 2}, ""},
		{"one/0002", "one/0002", 0, []int{2}, ""},
		{"", "three", 0, nil, "the series has no patch three"},
		{"two/0001", "one/0002", 0, nil, "two/0001-kernel-more.patch comes after one/0002-kernel-file.patch: nothing would be built"},
	} {
		b := &fakeBuilder{fails: c.fails}
		steps := 0
		err := s.Verify(t.Context(), b, arch.ARM64, c.from, c.to, nil, func(st Step) {
			steps++
			if st.Elapsed < 0 || st.Elapsed > time.Hour || st.Of != 3 {
				t.Errorf("from %q: step %+v", c.from, st)
			}
		})
		if got := fmt.Sprint(err); got != c.err && !(err == nil && c.err == "") {
			t.Errorf("from %q: error %v, want %s", c.from, err, c.err)
		}
		if !slices.Equal(b.built, c.built) || steps != len(c.built) {
			t.Errorf("from %q: built %v in %d steps, want %v", c.from, b.built, steps, c.built)
		}
	}
}

// TestIndependent finds a topic that needs another and does not say so.
func TestIndependent(t *testing.T) {
	s, dir := loadArchive(t, "applies")
	base := os.DirFS(filepath.Join(dir, "base"))
	if list, err := s.Independent(base); err != nil || len(list) > 0 {
		t.Errorf("a dependency that is declared: %v, %v", list, err)
	}
	two := s.Patches[2]
	two.Trailers = slices.DeleteFunc(two.Trailers, func(t Trailer) bool { return t.Key == keyDependsOn })
	list, err := s.Independent(base)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].File != two.File || list[0].Msg != "without topic one: kernel/new.c does not exist" {
		t.Errorf("found %v", list)
	}
}
