package run

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"cloudkernel/tools/internal/bring"
	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/ktap"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/payload"
	"cloudkernel/tools/internal/result"
)

// selftests runs the case's kernel selftests one after the other, each as
// kselftest's runner would: in its target's directory, with its target's time
// limit, or the case's if that says one. The runner itself is not used; its output nests programs' output in
// its own, and a test that takes the guest down would take the results of the
// others with it.
func (g *session) selftests(ctx context.Context, u *unit, s *seen) {
	built := g.payload[u].Selftests
	if built == nil {
		return
	}
	for _, ref := range u.c.Selftests {
		tests := chosen(built.Tests, ref)
		if len(tests) == 0 {
			why := fmt.Sprintf("there is no selftest %s", ref)
			if log := built.Log(); log != "" {
				why += ": " + firstOf(log)
			}
			s.fail(why)
			continue
		}
		for _, t := range tests {
			if u.c.Timeout != 0 {
				t.Timeout = time.Duration(u.c.Timeout)
			}
			if !g.selftest(ctx, s, built, t) {
				return
			}
		}
	}
}

// chosen returns the tests that a case means.
func chosen(all []payload.Selftest, ref cases.SelftestRef) []payload.Selftest {
	return slices.DeleteFunc(slices.Clone(all), func(t payload.Selftest) bool {
		return t.Target != ref.Target || (ref.Test != "" && t.Name != ref.Test)
	})
}

// selftest runs one test and reports whether the guest is fit for the next.
func (g *session) selftest(ctx context.Context, s *seen, built *payload.Selftests, t payload.Selftest) bool {
	name := t.Target + ":" + t.Name
	if t.Missing {
		why := "it was not built"
		if log := built.Log(); log != "" {
			why += ": " + firstOf(log)
		}
		s.subtests = append(s.subtests, result.Subtest{Name: name, Outcome: outcome.Fail, Reason: why})
		return true
	}
	g.Mark(ctx, "selftest "+name)
	limit := g.r.patient(cases.Duration(t.Timeout), 0, g.job.req)
	r := g.exec(ctx, guest.Cmd{
		// In one stream: a failed check says on stderr why.
		Argv: []string{"sh", "-c", `exec "./$0" 2>&1`, t.Name},
		Dir:  path.Join(bring.SelftestDir, t.Target),
	}, limit)
	g.record("selftest "+name, r)
	switch {
	case r.hang != "":
		s.hang = name + ": " + r.hang
		return false
	case r.err != nil:
		s.ended(g, name+": ", r.err)
		return false
	}
	s.subtests = append(s.subtests, selftestResults(name, r, limit)...)
	return true
}

// selftestResults judges a test by its exit code and, if it prints KTAP, by
// that.
func selftestResults(name string, r ran, limit time.Duration) []result.Subtest {
	var list []result.Subtest
	if root, found, err := ktap.Parse(strings.NewReader(r.stdout)); err == nil && found {
		list = root.Subtests()
		for i := range list {
			list[i].Name = name + ktap.Separator + list[i].Name
		}
	}
	whole := result.Subtest{Name: name, Outcome: outcome.Pass, Duration: r.took}
	switch {
	case r.late:
		whole.Outcome, whole.Reason = outcome.Fail, fmt.Sprintf("timed out after %s", limit)
	case r.exit == skipExit:
		whole.Outcome, whole.Reason = outcome.Skip, strings.TrimPrefix(lastLine(r), ": ")
	case r.exit != 0:
		whole.Outcome, whole.Reason = outcome.Fail, fmt.Sprintf("exit code %d%s", r.exit, lastLine(r))
	}
	// The test as a whole is worth a line where its parts do not say the same.
	if len(list) == 0 || (whole.Outcome == outcome.Fail && !anyBad(list)) {
		list = append(list, whole)
	}
	return list
}

func firstOf(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
