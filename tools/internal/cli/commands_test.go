package cli

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/manpage"
	"cloudkernel/tools/internal/outcome"
)

func testRoot() *cobra.Command {
	return newRoot(&app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}})
}

// TestHelp: every command says what it is, and long help ends with the exit status.
func TestHelp(t *testing.T) {
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its short help is %q", c.CommandPath(), c.Short)
		}
		if c.Long != "" && !strings.HasSuffix(strings.TrimSpace(c.Long), strings.TrimSpace(outcome.ExitStatus())) {
			t.Errorf("%s: its help does not end with EXIT STATUS", c.CommandPath())
		}
		for _, line := range strings.Split(c.Long, "\n") {
			if len([]rune(line)) > 100 {
				t.Errorf("%s: a line of its help has %d columns: %s", c.CommandPath(), len([]rune(line)), line)
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(testRoot())
}

// TestManPages: docs/man is what the commands say now.
func TestManPages(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "docs", "man")
	want := map[string][]byte{}
	for _, root := range documented(testRoot()) {
		maps.Copy(want, manpage.Pages(root))
	}
	const remedy = "run 'kernlab gen man'"
	for _, name := range slices.Sorted(maps.Keys(want)) {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%v; %s", err, remedy)
			continue
		}
		if d := cmp.Diff(string(want[name]), string(got)); d != "" {
			t.Errorf("docs/man/%s is not current; %s (-want +got):\n%s", name, remedy, d)
		}
	}
	there, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range there {
		if want[filepath.Base(file)] == nil {
			t.Errorf("docs/man/%s is of no command; %s", filepath.Base(file), remedy)
		}
	}
}

func TestGenMan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	if code, _, errs := kernlab(t, "gen", "man", dir, "-C", testRepo(t)); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	text, err := os.ReadFile(filepath.Join(dir, "kernlab-ci-publish.1"))
	if err != nil || !bytes.Contains(text, []byte(`\fB\-\-expect\fR \fILANE[=N]\fR`)) {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestCIPage: the exit codes of docs/ci.md are those of the commands.
func TestCIPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := []outcome.Outcome{outcome.Pass, outcome.Fail, outcome.Panic, outcome.Hang, outcome.BootFail, outcome.Infra, outcome.Skip}
	for _, o := range all {
		row := regexp.MustCompile(fmt.Sprintf("(?m)^\\| `%s` \\| [^|]* \\| %d \\|", o, o.Exit()))
		if !row.Match(text) {
			t.Errorf("docs/ci.md has no row for %s with exit code %d", o, o.Exit())
		}
	}
	if want := fmt.Sprintf("%d, the command line was\nwrong, and %d, interrupted", outcome.ExitUsage, outcome.ExitInterrupted); !bytes.Contains(text, []byte(want)) {
		t.Errorf("docs/ci.md does not say %q", want)
	}
}
