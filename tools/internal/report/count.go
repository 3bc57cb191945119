package report

import (
	"fmt"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// Count adds up the cases of a run.
type Count struct {
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`  // every case that makes the run fail
	Skipped int `json:"skipped"` // skips, and failures that are known
}

// CountOf counts the cases of r.
func CountOf(r *result.Run) Count {
	var n Count
	for i := range r.Cases {
		switch c := &r.Cases[i]; {
		case c.Bad():
			n.Failed++
		case c.Outcome == outcome.Pass:
			n.Passed++
		default:
			n.Skipped++
		}
	}
	return n
}

// Add returns the sum of two counts.
func (n Count) Add(m Count) Count {
	return Count{n.Passed + m.Passed, n.Failed + m.Failed, n.Skipped + m.Skipped}
}

// String returns the line that CI systems read: "3 passed, 0 failed, 1 skipped".
func (n Count) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", n.Passed, n.Failed, n.Skipped)
}
