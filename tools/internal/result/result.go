// Package result is what a run found out, as data: run makes it, report shows
// it. It holds no behaviour beyond adding up.
package result

import (
	"time"

	"cloudkernel/tools/internal/outcome"
)

// Run is one call of `kernlab test`, or one shard of it.
type Run struct {
	Started  time.Time     `json:"started"`
	Duration time.Duration `json:"duration"` // wall time, nanoseconds
	Kernels  []KernelInfo  `json:"kernels"`
	Machine  string        `json:"machine"` // the accelerator, in one line: what it is and what it costs
	Cases    []Case        `json:"cases"`   // in the order they were chosen in, not in that they ended in
	// Interrupted says that the run was stopped before every case was judged.
	Interrupted bool `json:"interrupted,omitempty"`
}

// KernelInfo names a kernel that cases of a run were judged on.
type KernelInfo struct {
	Arch    string `json:"arch"`
	Profile string `json:"profile"`
	Release string `json:"release"` // uname -r
	Key     string `json:"key"`     // the kernel's content key: equal keys, equal kernels
}

// Case is one case on one kernel.
type Case struct {
	Name    string `json:"name"` // "smoke/boot", "task-protect/selftests:hostinfo_test"
	Summary string `json:"summary,omitempty"`
	Feature string `json:"feature,omitempty"` // the feature of the README's table that the case proves
	Arch    string `json:"arch"`
	Profile string `json:"profile"`

	Outcome outcome.Outcome `json:"outcome"`
	Reason  string          `json:"reason,omitempty"` // one line: why it is not a pass

	Started  time.Time     `json:"started"`
	Duration time.Duration `json:"duration"`        // wall time, nanoseconds
	Guest    time.Duration `json:"guest,omitempty"` // guest time from its first instruction on, nanoseconds; 0 if not known

	Subtests []Subtest `json:"subtests,omitempty"`
	Splats   []Splat   `json:"splats,omitempty"`
	Console  []string  `json:"console,omitempty"` // the last lines, for a case that is not a pass
	Log      string    `json:"log,omitempty"`     // path of the directory with the full logs
	Repro    string    `json:"repro,omitempty"`   // the command line that runs this case alone, as it ran here
	Known    *Known    `json:"known,omitempty"`   // the entry of ci/known-failures.yaml that covers it

	// Repeat is set under --repeat: the case stands for all its runs, and its
	// outcome is the worst of theirs.
	Repeat *Repeat `json:"repeat,omitempty"`
}

// Subtest is one leaf of the KTAP tree that a case printed.
type Subtest struct {
	Name     string          `json:"name"` // the path from the root, joined by " > "
	Outcome  outcome.Outcome `json:"outcome"`
	Reason   string          `json:"reason,omitempty"`
	Duration time.Duration   `json:"duration,omitempty"`
}

// Splat is one complaint of the kernel on its console.
type Splat struct {
	Kind    string `json:"kind"`              // oops, bug, warning, kasan, lockdep, …: splat.Kind
	Title   string `json:"title"`             // one line without addresses and times: equal for equal faults
	Text    string `json:"text"`              // the raw lines
	Decoded string `json:"decoded,omitempty"` // the same lines, symbols with file:line
	Allowed string `json:"allowed,omitempty"` // why it was let pass: the reason in ci/allowed-splats.yaml, or "expected by the case"
}

// Known is an entry of ci/known-failures.yaml.
type Known struct {
	Reason string `json:"reason"`
	Link   string `json:"link"`
	Expiry string `json:"expiry"` // a date, 2026-12-31: the last day on which the entry counts
	// Passed says that the failure is known but did not happen: the entry can go.
	Passed bool `json:"passed,omitempty"`
	// Expired says that the entry's day is over, so the failure counts again.
	Expired bool `json:"expired,omitempty"`
}

// Repeat sums up the runs of one case under --repeat.
type Repeat struct {
	Runs     int               `json:"runs"`
	Passed   int               `json:"passed"`
	Outcomes []outcome.Outcome `json:"outcomes"` // one a run, in their order
}

// Bad reports whether c makes the run fail: it did not pass, and no known
// failure covers it.
func (c *Case) Bad() bool {
	if !c.Outcome.Bad() {
		return false
	}
	return c.Known == nil || c.Known.Expired
}

// Outcome returns how the run ended: the worst of its cases, a known failure
// counting as a pass. A run without cases is a skip.
func (r *Run) Outcome() outcome.Outcome {
	var all []outcome.Outcome
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Outcome.Bad() && !c.Bad() {
			all = append(all, outcome.Pass)
			continue
		}
		all = append(all, c.Outcome)
	}
	return outcome.Worst(all...)
}

// Flaky reports whether repeated runs of the case ended differently.
func (c *Case) Flaky() bool {
	return c.Repeat != nil && c.Repeat.Passed != 0 && c.Repeat.Passed != c.Repeat.Runs
}

// Add counts one more run.
func (r *Repeat) Add(o outcome.Outcome) {
	r.Runs++
	if o == outcome.Pass {
		r.Passed++
	}
	r.Outcomes = append(r.Outcomes, o)
}
