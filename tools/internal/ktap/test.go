package ktap

import (
	"time"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// Separator joins the names on the path to a subtest.
const Separator = " > "

// Test is a node of the tree: a result, with the results it sums up.
type Test struct {
	Number  int
	Name    string
	Outcome outcome.Outcome // Pass, Fail or Skip
	Reason  string          // why not a plain pass: the directive's text, or what is wrong with the stream
	// Diagnostics are the lines before the result that were no KTAP, last
	// ones only when there were very many.
	Diagnostics []string
	Children    []*Test
	// Duration is the guest time since the result before, where the lines
	// had printk's time stamps.
	Duration time.Duration
}

// Subtests returns the tree's leaves, named by the path to them. A node that
// failed although nothing below it did is listed too: its own complaint would
// be lost otherwise.
func (t *Test) Subtests() []result.Subtest {
	var list []result.Subtest
	for _, c := range t.Children {
		list = c.flatten("", list)
	}
	return list
}

func (t *Test) flatten(path string, list []result.Subtest) []result.Subtest {
	name := t.Name
	if path != "" {
		name = path + Separator + name
	}
	for _, c := range t.Children {
		list = c.flatten(name, list)
	}
	if len(t.Children) == 0 || (t.Outcome == outcome.Fail && !anyFailed(t.Children)) {
		list = append(list, result.Subtest{Name: name, Outcome: t.Outcome, Reason: t.Reason, Duration: t.Duration})
	}
	return list
}

func anyFailed(tests []*Test) bool {
	for _, t := range tests {
		if t.Outcome == outcome.Fail {
			return true
		}
	}
	return false
}

// sum returns the outcome of tests together: Fail if one failed, Skip if there
// is none or all were skipped.
func sum(tests []*Test) outcome.Outcome {
	o := outcome.Skip
	for _, t := range tests {
		o = outcome.Worst(o, t.Outcome)
	}
	return o
}
