package splat

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudkernel/tools/internal/golden"

	"github.com/google/go-cmp/cmp"
)

// A golden console is a file of two parts: what is expected, and after an
// empty line the console as it was. The first part starts with a line that
// says where the console comes from, "real" or "written"; then for each splat
//
//	! kind: title            (or "! fatal kind: title")
//	  first: its first line, without printk's prefix
//	  last: its last line
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.log")
	if err != nil || len(files) == 0 {
		t.Fatalf("no consoles in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".log"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, log, ok := strings.Cut(string(data), "\n\n")
			if !ok {
				t.Fatal("no empty line between what is expected and the console")
			}
			origin, want, _ := strings.Cut(head, "\n")
			if !strings.HasPrefix(origin, "# real, ") && !strings.HasPrefix(origin, "# written, ") {
				t.Errorf("the first line does not say whether the console is real or written: %q", origin)
			}
			var b strings.Builder
			for _, s := range Scan(log) {
				fatal := ""
				if s.Fatal {
					fatal = "fatal "
				}
				first, _, _ := strip(s.Text[0])
				last, _, _ := strip(s.Text[len(s.Text)-1])
				fmt.Fprintf(&b, "! %s%s: %s\n  first: %s\n  last: %s\n", fatal, s.Kind, s.Title, first, last)
				if !slices.Contains(Kinds, s.Kind) {
					t.Errorf("kind %q is not in Kinds", s.Kind)
				}
				if got := strings.Split(log, "\n")[s.Line-1]; strings.TrimRight(got, "\r") != s.Text[0] {
					t.Errorf("line %d is %q, not the first of %s", s.Line, got, s.Title)
				}
			}
			got := strings.TrimSuffix(b.String(), "\n")
			if golden.Updating() {
				if err := os.WriteFile(file, []byte(origin+"\n"+got+"\n\n"+log), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the splats differ (-want +got):\n%s", diff)
			}
		})
	}
}
