// Package golden compares what a test made with what a file beside it says.
// Every test binary that imports it has the flag -update, which writes such
// files anew:
//
//	go test ./tools/internal/report -update
package golden

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Updating reports whether golden files are to be written anew, for tests that
// keep what they expect inside a larger file.
func Updating() bool { return *update }

// Check fails the test when got is not what file holds.
func Check(t testing.TB, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; -update makes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update if it should have changed):\n%s", file, diff)
	}
}
