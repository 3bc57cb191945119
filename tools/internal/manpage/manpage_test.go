package manpage

import (
	"os"
	"path/filepath"
	"testing"

	"cloudkernel/tools/internal/golden"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func sample() *cobra.Command {
	nothing := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "tool", Short: "Do things",
		Long: "tool does things, well-\nknown ones.\n\nAnd others:\n\n  tool -x 'a\\n'   one\n\n  .dot            two\n'quoted' at the start.\nEXIT STATUS\n  0    fine\n  1    not\n"}
	root.PersistentFlags().StringP("dir", "C", "", "work in `DIR`")
	sub := &cobra.Command{Use: "sub [flags] FILE...", Short: "Do one thing", Run: nothing}
	sub.Flags().String("json", "", "write `FILE`")
	sub.Flags().Lookup("json").NoOptDefVal = "-"
	sub.Flags().BoolP("quiet", "q", false, "say nothing")
	sub.Flags().Int("jobs", 2, "how many")
	sub.Flags().String("secret", "", "")
	_ = sub.Flags().MarkHidden("secret")
	root.AddCommand(sub, &cobra.Command{Use: "hidden", Hidden: true, Run: nothing})
	return root
}

func TestPages(t *testing.T) {
	pages := Pages(sample())
	if len(pages) != 2 {
		t.Errorf("%d pages, want tool and sub", len(pages))
	}
	for name, text := range pages {
		golden.Check(t, filepath.Join("testdata", name), string(text))
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	for _, name := range []string{"tool-gone.1", "toolbox.1", "other.1"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(sample(), dir); err != nil {
		t.Fatal(err)
	}
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if d := cmp.Diff([]string{"other.1", "tool-sub.1", "tool.1", "toolbox.1"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
