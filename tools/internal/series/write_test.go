package series

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// patchText returns a patch of a topic that adds a file.
func patchText(topic, subject, file string) []byte {
	head := strings.NewReplacer("kernel: do", subject, "Topic: topic", "Topic: "+topic).Replace(mailHead)
	return []byte(head + "diff --git a/" + file + " b/" + file + "\nnew file mode 100644\nindex " + strings.Repeat("0", 40) + ".." + strings.Repeat("1", 40) +
		"\n--- /dev/null\n+++ b/" + file + "\n@@ -0,0 +1 @@\n+" + file + "\n")
}

func newPatch(topic, subject string) New {
	return New{Topic: topic, Subject: subject, Data: patchText(topic, subject, topic+"/"+slug(subject)+".c")}
}

const listBefore = `# What this file is.

# A note that stands by itself.

# one: the first topic
# on two lines
one/0001-a-first.patch
# why b comes second
one/0002-b-second.patch

# Before two.

# two: the second topic
two/0001-c-only.patch

# The end.
`

// writeSeries makes a series whose file list and patches are as listBefore says.
func writeSeries(t *testing.T) *Series {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "series", []byte(listBefore))
	put(t, dir, "one/0001-a-first.patch", newPatch("one", "a: first").Data)
	put(t, dir, "one/0002-b-second.patch", newPatch("one", "b: second").Data)
	put(t, dir, "two/0001-c-only.patch", newPatch("two", "c: only").Data)
	return load(t, dir)
}

func put(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, dir string) *Series {
	t.Helper()
	s, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWriteKeepsComments(t *testing.T) {
	a, b, c := newPatch("one", "a: first"), newPatch("one", "b: second"), newPatch("two", "c: only")
	x, z := newPatch("one", "x: new"), newPatch("zero", "z: new")
	for _, test := range []struct {
		name    string
		patches []New
		list    string
		change  Change
	}{
		{"nothing", []New{a, b, c}, listBefore, Change{Written: []string{}, Removed: []string{}, Kept: 3}},
		{"insert", []New{a, x, b, c},
			strings.Replace(listBefore, "# why b comes second\none/0002-b", "one/0002-x-new.patch\n# why b comes second\none/0003-b", 1),
			Change{[]string{"one/0002-x-new.patch", "one/0003-b-second.patch"}, []string{"one/0002-b-second.patch"}, 2}},
		{"swap", []New{b, a, c},
			strings.Replace(listBefore, "one/0001-a-first.patch\n# why b comes second\none/0002-b-second.patch", "# why b comes second\none/0001-b-second.patch\none/0002-a-first.patch", 1),
			Change{[]string{"one/0001-b-second.patch", "one/0002-a-first.patch"}, []string{"one/0001-a-first.patch", "one/0002-b-second.patch"}, 1}},
		{"drop a topic", []New{a, b},
			strings.Replace(listBefore, "\n# Before two.\n\n# two: the second topic\ntwo/0001-c-only.patch\n", "", 1),
			Change{[]string{}, []string{"two/0001-c-only.patch"}, 2}},
		{"new topic", []New{a, b, z, c},
			strings.Replace(listBefore, "\n# Before two.", "\n# zero: say here what it is\nzero/0001-z-new.patch\n\n# Before two.", 1),
			Change{[]string{"zero/0001-z-new.patch"}, []string{}, 3}},
		{"drop the patch of a comment", []New{a, c},
			strings.Replace(listBefore, "one/0002-b-second.patch\n", "", 1),
			Change{[]string{}, []string{"one/0002-b-second.patch"}, 2}},
		{"nothing is left", nil, "# What this file is.\n\n# A note that stands by itself.\n\n# The end.\n",
			Change{[]string{}, []string{"one/0001-a-first.patch", "one/0002-b-second.patch", "two/0001-c-only.patch"}, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := writeSeries(t)
			change, err := s.Write(test.patches)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.change, change); diff != "" {
				t.Errorf("what was done: want -, got +\n%s", diff)
			}
			list, err := os.ReadFile(filepath.Join(s.Dir, "series"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.list, string(list)); diff != "" {
				t.Errorf("the series file: want -, got +\n%s", diff)
			}
			again := load(t, s.Dir)
			if len(again.Patches) != len(test.patches) {
				t.Fatalf("%d patches, want %d", len(again.Patches), len(test.patches))
			}
			for i, p := range again.Patches {
				if !bytes.Equal(p.Data, test.patches[i].Data) {
					t.Errorf("%s holds another patch", p.Name)
				}
			}
			change, err = again.Write(test.patches)
			if err != nil || len(change.Written)+len(change.Removed) > 0 {
				t.Errorf("written again: %+v, %v", change, err)
			}
		})
	}
}

// TestWriteTouchesNothingUnchanged shows that an unchanged file keeps its inode.
func TestWriteTouchesNothingUnchanged(t *testing.T) {
	s := writeSeries(t)
	before, err := os.Stat(s.Patches[0].File)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]New{newPatch("one", "a: first"), newPatch("one", "n: new")}); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(s.Patches[0].File)
	if err != nil || !os.SameFile(before, after) {
		t.Error("an unchanged patch was written anew")
	}
}

// TestWriteInterrupted stops an export after each of its steps, which is what a
// kill does, and loads the series then: it is the old one or the new one.
func TestWriteInterrupted(t *testing.T) {
	next := []New{newPatch("one", "x: new"), newPatch("one", "a: first"), newPatch("three", "c: only")}
	old := snapshot(t, writeSeries(t).Dir)
	done := writeSeries(t)
	if _, err := done.Write(next); err != nil {
		t.Fatal(err)
	}
	want := snapshot(t, done.Dir)
	sawOld, sawNew := false, false
	for step := 0; ; step++ {
		s := writeSeries(t)
		if !interruptedWrite(t, s, next, step) {
			break
		}
		got := snapshot(t, load(t, s.Dir).Dir)
		switch {
		case cmp.Equal(got, old):
			sawOld = true
		case cmp.Equal(got, want):
			sawNew = true
		default:
			t.Errorf("stopped after step %d: neither the old nor the new series:\n%s", step, cmp.Diff(want, got))
		}
		// And the next export is not in the way of what is left.
		if _, err := load(t, s.Dir).Write(next); err != nil {
			t.Errorf("stopped after step %d: export again: %v", step, err)
		} else if got := snapshot(t, s.Dir); !cmp.Equal(got, want) {
			t.Errorf("stopped after step %d: exported again:\n%s", step, cmp.Diff(want, got))
		}
	}
	if !sawOld || !sawNew {
		t.Errorf("old series seen: %t, new one: %t", sawOld, sawNew)
	}
}

// interruptedWrite does what Write does up to a step: 0 and 1 are before and
// after the half of the staging, 2 is the commitment, and every further one a
// file moved or removed. It returns false when there is no such step.
func interruptedWrite(t *testing.T, s *Series, patches []New, step int) bool {
	t.Helper()
	files, names, err := s.layout(patches)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, n := range names {
		listed[n] = true
	}
	var removed []string
	for _, p := range s.Patches {
		if !listed[p.Name] {
			removed = append(removed, p.Name)
		}
	}
	if step == 0 {
		put(t, s.Dir, staging+"/"+writes+"/series", []byte("half a li"))
		return true
	}
	if err := stage(s.Dir, files, removed); err != nil {
		t.Fatal(err)
	}
	if step == 1 {
		if err := os.Rename(filepath.Join(s.Dir, committed), filepath.Join(s.Dir, staging)); err != nil {
			t.Fatal(err)
		}
		return true
	}
	step -= 2
	for _, n := range append(names, "series") {
		if step == 0 {
			return true
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(s.Dir, n)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(s.Dir, committed, writes, n), filepath.Join(s.Dir, n)); err != nil {
			t.Fatal(err)
		}
		step--
	}
	for _, n := range removed {
		if step == 0 {
			return true
		}
		if err := os.Remove(filepath.Join(s.Dir, n)); err != nil {
			t.Fatal(err)
		}
		step--
	}
	if step == 0 {
		return true
	}
	if step == 1 {
		return os.Remove(filepath.Join(s.Dir, committed, removals)) == nil
	}
	return false
}

// snapshot returns the files below dir with their content.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for name, f := range readTree(t, dir) {
		if !strings.HasPrefix(name, staging) {
			files[name] = string(f.data)
		}
	}
	return files
}

func TestWriteRefuses(t *testing.T) {
	s := writeSeries(t)
	for _, c := range []struct {
		patches []New
		err     string
	}{
		{[]New{newPatch("One", "a: first")}, `"One" is no topic`},
		{[]New{newPatch("one", "...")}, "is no patch file"},
	} {
		before := snapshot(t, s.Dir)
		if _, err := s.Write(c.patches); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("error %v, want %s", err, c.err)
		}
		if diff := cmp.Diff(before, snapshot(t, s.Dir)); diff != "" {
			t.Error("a refused export changed files: " + diff)
		}
	}
	put(t, s.Dir, s.Patches[0].Name, newPatch("one", "somebody: else").Data)
	if _, err := s.Write([]New{newPatch("one", "a: first")}); err == nil || !strings.Contains(err.Error(), "changed while") {
		t.Errorf("a patch changed under the export: %v", err)
	}
}

// BenchmarkCheck200 is the check of a series of 200 patches in ten topics, each
// of which is also left out once, reading included, on a base whose files are as long as those of the kernel that get patched.
// The whole must take less than a second.
func BenchmarkCheck200(b *testing.B) {
	dir := b.TempDir()
	base := filepath.Join(dir, "base")
	const files, lines, patches = 50, 8000, 200
	for i := range files {
		var text bytes.Buffer
		for n := range lines {
			fmt.Fprintf(&text, "\tstatement_%d_of_%d(struct rq *rq, struct task_struct *p);\n", n, i)
		}
		writeBench(b, filepath.Join(base, fmt.Sprintf("kernel/f%d.c", i)), text.Bytes())
	}
	var list bytes.Buffer
	for p := range patches {
		topic := fmt.Sprintf("topic-%c", 'a'+p/20)
		subject := fmt.Sprintf("kernel: change %d", p)
		head := strings.NewReplacer("kernel: do", subject, "Topic: topic", "Topic: "+topic).Replace(mailHead)
		var diff bytes.Buffer
		for f := range 3 { // files a patch
			file := 10 + p/20*4 + (p+f)%4 // of the topic's own four
			if f == 2 {
				file = p % 10 // or one that all topics change
			}
			name := fmt.Sprintf("kernel/f%d.c", file)
			fmt.Fprintf(&diff, "diff --git a/%s b/%s\nindex %040d..%040d 100644\n--- a/%s\n+++ b/%s\n", name, name, 1, 2, name, name)
			for h := range 5 { // hunks a file: each patch has lines of its own
				at := 10 + p*35 + h*7
				fmt.Fprintf(&diff, "@@ -%d,3 +%d,4 @@\n", at+1, at+1)
				for n := range 3 {
					fmt.Fprintf(&diff, " \tstatement_%d_of_%d(struct rq *rq, struct task_struct *p);\n", at+n, file)
					if n == 1 {
						diff.WriteString("+\tadded();\n")
					}
				}
			}
		}
		name := FileName(topic, p%20+1, subject)
		writeBench(b, filepath.Join(dir, "kernel-patches", name), []byte(head+diff.String()))
		list.WriteString(name + "\n")
	}
	writeBench(b, filepath.Join(dir, "kernel-patches", "series"), list.Bytes())
	b.ResetTimer()
	for b.Loop() {
		s, err := Load(filepath.Join(dir, "kernel-patches"))
		if err != nil {
			b.Fatal(err)
		}
		if list := s.Check(nil); len(list) > 0 {
			b.Fatal(list)
		}
		if _, err := s.Apply(os.DirFS(base)); err != nil {
			b.Fatal(err)
		}
		if list, err := s.Independent(os.DirFS(base)); err != nil || len(list) > 0 {
			b.Fatal(list, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/check")
}

func writeBench(b *testing.B, path string, data []byte) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		b.Fatal(err)
	}
}
