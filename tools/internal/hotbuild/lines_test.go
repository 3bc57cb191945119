package hotbuild

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sample is C in which every line that can says its own number.
const sample = `int a1 = __LINE__;
/* a comment
   over two lines */ int a3 = __LINE__;
#define M(x) \
	x \
	+ 0
int a7 = M(
	__LINE__
	);
#ifdef NEVER
int b11 = __LINE__;
#else
int a13 = __LINE__;
#endif
int a15 = __LINE__; // ( not open
char *s16 = "( /* not open";
int a17 = __LINE__;
#if 1
int a19 = __LINE__;
#else
int b21 = (
#endif
int a23 = __LINE__;
`

// What the compiler's preprocessor says of every line is the proof: lines that
// were there keep their numbers, whatever is put between them or taken away.
func TestPinnedLines(t *testing.T) {
	cpp, err := exec.LookPath("cpp")
	if err != nil {
		t.Skip("no cpp on this machine")
	}
	orig := splitLines([]byte(sample))
	r := rand.New(rand.NewPCG(7, 7))
	// Lines between which others may be put.
	open := []int{0, 1, 3, 6, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 22, 23}
	dir, main := t.TempDir(), ""
	texts := map[string][]byte{}
	for round := range 200 {
		c := &change{path: "x.c"}
		for i, l := range orig {
			for _, o := range open {
				if o == i && r.IntN(5) == 0 {
					for range 1 + r.IntN(3) {
						c.lines, c.origin = append(c.lines, fmt.Appendf(nil, "int n%d = __LINE__;\n", len(c.lines)+1)), append(c.origin, 0)
					}
				}
			}
			if m := (i == 0 || i == 14 || i == 16); m && r.IntN(4) == 0 {
				continue // removed
			}
			c.lines, c.origin = append(c.lines, l), append(c.origin, i+1)
		}
		name := fmt.Sprintf("r%d.c", round)
		texts[name] = pinLines(c, "x.c", "./x.c")
		if err := os.WriteFile(filepath.Join(dir, name), texts[name], 0o644); err != nil {
			t.Fatal(err)
		}
		main += fmt.Sprintf("round %s;\n#undef M\n#include %q\n", name, name)
	}
	p := filepath.Join(dir, "main.c")
	if err := os.WriteFile(p, []byte(main), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), cpp, "-P", p).Output()
	if err != nil {
		t.Fatal(err)
	}
	round, seen := "", 0
	for _, m := range regexp.MustCompile(`round (r\d+.c);|int ([a-z])(\d+) =\s*(\d+)`).FindAllStringSubmatch(string(out), -1) {
		if m[1] != "" {
			round = m[1]
			continue
		}
		seen++
		if m[3] != m[4] && m[2]+m[3] != "a7" { // a macro's arguments count as its first or last line
			t.Fatalf("%s is said to be line %s:\n%s", m[0], m[4], texts[round])
		}
	}
	if seen < 200*7 {
		t.Errorf("only %d lines were looked at", seen)
	}
}

func TestPinLeavesAloneWhatDoesNotMove(t *testing.T) {
	c := &change{path: "x.c", lines: splitLines([]byte("a\nb\n")), origin: []int{1, 2}}
	if got := string(pinLines(c, "x.c", "./x.c")); got != "a\nb\n" {
		t.Errorf("got %q", got)
	}
}

func TestPinnedFilesDifferInDebugInformationOnly(t *testing.T) {
	c := &change{path: "fs/x.c", lines: splitLines([]byte("a\nnew\nb\n")), origin: []int{1, 0, 2}}
	want := "a\n#line 2 \"fs/x.c\"\nnew\n#line 2 \"../fs/x.c\"\nb\n"
	if got := string(pinLines(c, "../fs/x.c", otherSpelling("fs/x.c", "../fs/x.c"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := otherSpelling("fs/x.c", "fs/x.c"); got != "./fs/x.c" {
		t.Errorf("the other spelling of a file in the source directory is %q", got)
	}
	if !strings.Contains(string(pinLines(c, "fs/x.c", otherSpelling("fs/x.c", "fs/x.c"))), "./fs/x.c") {
		t.Error("added lines have no file of their own")
	}
}
