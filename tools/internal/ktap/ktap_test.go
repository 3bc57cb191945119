package ktap

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/golden"
	"cloudkernel/tools/internal/outcome"
)

// dump writes a tree as the golden files have it.
func dump(b *strings.Builder, t *Test, depth int) {
	fmt.Fprintf(b, "%s%s %d %s", strings.Repeat("    ", depth), t.Outcome, t.Number, t.Name)
	if t.Reason != "" {
		fmt.Fprintf(b, " (%s)", t.Reason)
	}
	if t.Duration != 0 {
		fmt.Fprintf(b, " [%s]", t.Duration)
	}
	b.WriteString("\n")
	for _, d := range t.Diagnostics {
		fmt.Fprintf(b, "%s  | %s\n", strings.Repeat("    ", depth), d)
	}
	for _, c := range t.Children {
		dump(b, c, depth+1)
	}
}

// TestGolden parses each stream in testdata and compares the tree, and the
// subtests it flattens to, with the file beside it.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.ktap")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no streams in testdata: %v", err)
	}
	for _, in := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(in), ".ktap"), func(t *testing.T) {
			f, err := os.Open(in)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			root, found, err := Parse(f)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			fmt.Fprintf(&b, "found %v\n", found)
			dump(&b, root, 0)
			b.WriteString("-- subtests --\n")
			for _, s := range root.Subtests() {
				fmt.Fprintf(&b, "%s %s", s.Outcome, s.Name)
				if s.Reason != "" {
					fmt.Fprintf(&b, " (%s)", s.Reason)
				}
				b.WriteString("\n")
			}
			golden.Check(t, strings.TrimSuffix(in, ".ktap")+".golden", b.String())
		})
	}
}

func TestParseLine(t *testing.T) {
	tests := []struct {
		text string
		want line
	}{
		{"KTAP version 1", line{kind: isVersion}},
		{"TAP version 13", line{kind: isVersion}},
		{"# TAP version 13", line{kind: isVersion, column: 2, hash: true}},
		{"    1..12", line{kind: isPlan, column: 4, n: 12}},
		{"1..0 # SKIP no such device", line{kind: isPlan, directive: "SKIP", comment: "no such device"}},
		{"ok 1 name", line{kind: isResult, n: 1, ok: true, name: "name"}},
		{"ok 1 - dashed name", line{kind: isResult, n: 1, ok: true, name: "dashed name"}},
		{"not ok 22", line{kind: isResult, n: 22}},
		{"ok", line{kind: isResult, ok: true}},
		{"okay 1", line{}},
		{"not okay", line{}},
		{"ok 3 a # SKIP b # c", line{kind: isResult, n: 3, ok: true, name: "a", directive: "SKIP", comment: "b # c"}},
		{"ok 3 a #skipped: b", line{kind: isResult, n: 3, ok: true, name: "a", directive: "SKIP", comment: "b"}},
		{"ok 3 list #2 of 4", line{kind: isResult, n: 3, ok: true, name: "list #2 of 4"}},
		{"ok 3 todolist # todolist is long", line{kind: isResult, n: 3, ok: true, name: "todolist", comment: "todolist is long"}},
		{`ok 3 a \# b`, line{kind: isResult, n: 3, ok: true, name: "a # b"}},
		{"not ok 4 # exit=1", line{kind: isResult, n: 4, comment: "exit=1"}},
		{"not ok 4 t # TIMEOUT 45 seconds", line{kind: isResult, n: 4, name: "t", directive: "TIMEOUT", comment: "45 seconds"}},
		{"#     # Subtest: x", line{column: 8, hash: true}},
		{"    # Subtest: list test", line{kind: isHeader, column: 4, name: "list test"}},
		{"#     ok 2 b", line{kind: isResult, column: 6, hash: true, n: 2, ok: true, name: "b"}},
		{"Bail out!  no memory", line{kind: isBail, name: "no memory"}},
		{"ok 99999999999999999999 x", line{}},
		{"", line{}},
	}
	for _, tt := range tests {
		got := parseLine(tt.text)
		if got.kind == isOther {
			got = line{kind: isOther, column: got.column, hash: got.hash}
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(line{})); diff != "" {
			t.Errorf("parseLine(%q) (-want +got):\n%s", tt.text, diff)
		}
	}
}

// TestMessageAnywhere writes a log message into every position of a stream and
// expects the results of the clean stream.
func TestMessageAnywhere(t *testing.T) {
	const stream = "TAP version 13\n1..3\nok 1 first\nnot ok 2 second # exit=1\nok 3 third # SKIP no net\n"
	const message = "[   12.345678] random: crng init done\n"
	clean, _, err := Parse(strings.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	want := clean.Subtests()
	for i := range len(stream) + 1 {
		root, _, err := Parse(strings.NewReader(stream[:i] + message + stream[i:]))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, root.Subtests()); diff != "" {
			t.Errorf("message after %q (-want +got):\n%s", stream[:i], diff)
		}
	}
}

// TestTruncated cuts a stream anywhere: it must never come out as a pass.
func TestTruncated(t *testing.T) {
	const stream = "KTAP version 1\n1..2\n    KTAP version 1\n    # Subtest: a\n    1..2\n    ok 1 x\n    ok 2 y\nok 1 a\nok 2 b\n"
	for i := len("KTAP version 1\n1..2"); i < len(stream)-len("ok 2 b\n"); i++ {
		root, found, err := Parse(strings.NewReader(stream[:i]))
		if err != nil || !found {
			t.Fatalf("cut at %d: found %v, %v", i, found, err)
		}
		if root.Outcome != outcome.Fail {
			t.Errorf("cut after %q: %s, want fail", stream[:i], root.Outcome)
		}
	}
}

func FuzzParse(f *testing.F) {
	inputs, _ := filepath.Glob("testdata/*.ktap")
	for _, in := range inputs {
		data, err := os.ReadFile(in)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, s string) {
		root, found, err := Parse(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		if !found && len(root.Children) > 0 && root.Outcome == outcome.Pass {
			t.Errorf("no KTAP found, yet a pass")
		}
		check(t, root)
		failed := false
		for _, s := range root.Subtests() {
			if s.Name == "" {
				t.Errorf("a subtest without a name")
			}
			failed = failed || s.Outcome == outcome.Fail
		}
		if (root.Outcome == outcome.Fail) != failed {
			t.Errorf("the root is %s, yet some subtest failed: %v", root.Outcome, failed)
		}
	})
}

// check asserts what holds of every tree.
func check(t *testing.T, n *Test) {
	switch n.Outcome {
	case outcome.Pass, outcome.Fail, outcome.Skip:
	default:
		t.Errorf("%s: outcome %q", n.Name, n.Outcome)
	}
	for _, c := range n.Children {
		if c == nil {
			t.Fatal("nil child")
		}
		check(t, c)
	}
}
