package guest

import (
	"testing"
	"time"
)

// waitFor waits until ok; the deadline is for a test that hangs, not a measure.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to that within a minute")
		}
	}
}
