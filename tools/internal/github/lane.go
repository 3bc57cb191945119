package github

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/report"
	"cloudkernel/tools/internal/result"
)

// Lane is one kernel's part of a CI run.
type Lane struct {
	Name     string // arm64-default
	Cases    []result.Case
	Duration time.Duration // of all shards together
	Shards   int           // how many reported
	Expected int           // how many should have; 0 when nobody said

	interrupted bool
}

// Report is one run, as a file held it.
type Report struct {
	Lane string // "" when the cases tell, by architecture and profile
	Run  *result.Run
}

// Lanes sorts the cases of reports into lanes. expect says how many reports a
// lane must have; a lane that is expected and has none is there too, empty.
func Lanes(reports []Report, expect map[string]int) []Lane {
	lanes := map[string]*Lane{}
	lane := func(name string) *Lane {
		if lanes[name] == nil {
			lanes[name] = &Lane{Name: name, Expected: expect[name]}
		}
		return lanes[name]
	}
	for name := range expect {
		lane(name)
	}
	for _, rep := range reports {
		seen := map[string]bool{}
		see := func(name string) *Lane {
			l := lane(name)
			if !seen[name] {
				seen[name] = true
				l.Shards++
				l.Duration += rep.Run.Duration
				l.interrupted = l.interrupted || rep.Run.Interrupted
			}
			return l
		}
		if rep.Lane != "" {
			see(rep.Lane).Cases = append(see(rep.Lane).Cases, rep.Run.Cases...)
			continue
		}
		for _, k := range rep.Run.Kernels {
			see(k.Arch + "-" + k.Profile)
		}
		for _, c := range rep.Run.Cases {
			l := see(c.Arch + "-" + c.Profile)
			l.Cases = append(l.Cases, c)
		}
	}
	var list []Lane
	for _, l := range lanes {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b Lane) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (l *Lane) run() *result.Run { return &result.Run{Cases: l.Cases} }

// whole reports whether every shard told of every case of its own.
func (l *Lane) whole() bool { return l.Shards >= l.Expected && l.Shards > 0 && !l.interrupted }

// Outcome is the worst of the cases; a lane that is not whole did not pass.
func (l *Lane) Outcome() outcome.Outcome {
	o := l.run().Outcome()
	if !l.whole() && !o.Bad() {
		return outcome.Infra
	}
	return o
}

// State is the commit status of the lane: success; failure, when the series
// was found wrong; error, when it could not be judged.
func (l *Lane) State() string {
	switch l.Outcome() {
	case outcome.Pass:
		return "success"
	case outcome.Infra, outcome.Skip:
		return "error"
	}
	return "failure"
}

// maxDescription is how much of a status's description GitHub takes.
const maxDescription = 140

// Description is the lane in one line.
func (l *Lane) Description() string {
	parts := []string{report.CountOf(l.run()).String()}
	if o := l.Outcome(); o != outcome.Pass {
		parts[0] = string(o) + ": " + parts[0]
	}
	if s := l.gap(); s != "" {
		parts = append(parts, s)
	}
	s := strings.Join(parts, "; ")
	return s[:min(len(s), maxDescription)]
}

// gap says what is missing of the lane.
func (l *Lane) gap() string {
	switch {
	case l.Shards < l.Expected:
		return fmt.Sprintf("%d of %d shards reported", l.Shards, l.Expected)
	case l.interrupted:
		return "interrupted"
	}
	return ""
}
