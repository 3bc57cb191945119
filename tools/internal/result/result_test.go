package result

import (
	"testing"

	"cloudkernel/tools/internal/outcome"
)

func TestRunOutcome(t *testing.T) {
	known := &Known{Reason: "r"}
	expired := &Known{Reason: "r", Expired: true}
	tests := []struct {
		name  string
		cases []Case
		want  outcome.Outcome
	}{
		{"nothing", nil, outcome.Skip},
		{"all skipped", []Case{{Outcome: outcome.Skip}}, outcome.Skip},
		{"a pass outweighs a skip", []Case{{Outcome: outcome.Skip}, {Outcome: outcome.Pass}}, outcome.Pass},
		{"a panic outweighs a hang", []Case{{Outcome: outcome.Panic}, {Outcome: outcome.Hang}, {Outcome: outcome.Pass}}, outcome.Panic},
		{"a known failure", []Case{{Outcome: outcome.Fail, Known: known}}, outcome.Pass},
		{"an expired one", []Case{{Outcome: outcome.Fail, Known: expired}}, outcome.Fail},
		{"known does not hide others", []Case{{Outcome: outcome.Panic, Known: known}, {Outcome: outcome.Fail}}, outcome.Fail},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Run{Cases: tt.cases}
			if got := r.Outcome(); got != tt.want {
				t.Errorf("Outcome() = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestFlaky(t *testing.T) {
	for _, tt := range []struct {
		passed, runs int
		want         bool
	}{{0, 3, false}, {3, 3, false}, {1, 3, true}} {
		c := Case{Repeat: &Repeat{Runs: tt.runs, Passed: tt.passed}}
		if c.Flaky() != tt.want {
			t.Errorf("%d of %d: Flaky() = %v", tt.passed, tt.runs, c.Flaky())
		}
	}
}
