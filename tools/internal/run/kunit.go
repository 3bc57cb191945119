package run

import (
	"context"
	"fmt"
	"path"
	"strings"

	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/ktap"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// KUnit suites that are built in run while the kernel boots, if kunit.enable
// says so, each once and before anything else could disturb it. What they
// found is in debugfs afterwards, without the log messages that stand between
// the results on the console. Only if the kernel dies meanwhile is the console
// all there is.
//
// Suites can be made to run again through debugfs, but only those that ran at
// boot, so nothing would be won by that.
const kunitDir = "/sys/kernel/debug/kunit"

// kunitCmdline returns what a job's guest is told about KUnit.
func kunitCmdline(j *job) []string {
	suites := j.units[0].c.KUnit
	if len(suites) == 0 {
		return []string{"kunit.enable=0"} // they take time, and taint the kernel
	}
	// The results are messages of level "info".
	args := []string{"kunit.enable=1", "loglevel=7"}
	if len(suites) == 1 {
		args = append(args, "kunit.filter_glob="+string(suites[0])) // it takes one
	}
	return args
}

// kunit reads the results of the case's suites.
func (g *session) kunit(ctx context.Context, u *unit, s *seen) {
	list := g.exec(ctx, guest.Cmd{Argv: []string{"ls", kunitDir}}, dying)
	if list.err != nil {
		s.ended(g, "", list.err)
		return
	}
	if list.hang != "" {
		s.hang = list.hang
		return
	}
	have := strings.Fields(list.stdout)
	for _, want := range u.c.KUnit {
		n := 0
		for _, suite := range have {
			if ok, _ := path.Match(string(want), suite); ok {
				n++
				g.kunitSuite(ctx, s, suite)
			}
		}
		if n == 0 {
			s.fail(fmt.Sprintf("the kernel ran no KUnit suite %s; it ran %s", want, orNone(have)))
		}
	}
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

func (g *session) kunitSuite(ctx context.Context, s *seen, suite string) {
	r := g.exec(ctx, guest.Cmd{Argv: []string{"cat", path.Join(kunitDir, suite, "results")}}, dying)
	g.record("KUnit suite "+suite, r)
	switch {
	case r.err != nil:
		s.ended(g, suite+": ", r.err)
		return
	case r.hang != "" || r.late:
		s.hang = suite + ": its results could not be read"
		return
	}
	root, found, err := ktap.Parse(strings.NewReader(r.stdout))
	if err != nil || !found {
		s.subtests = append(s.subtests, result.Subtest{Name: suite, Outcome: outcome.Fail, Reason: "no results"})
		return
	}
	s.subtests = append(s.subtests, root.Subtests()...)
}

// kunitConsole takes the results from the console of a guest that did not get
// as far as to be asked.
func kunitConsole(s *seen) {
	root, found, err := ktap.Parse(strings.NewReader(s.console))
	if err == nil && found {
		s.subtests = root.Subtests()
	}
}
