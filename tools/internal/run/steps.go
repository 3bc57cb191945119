package run

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"cloudkernel/tools/internal/bring"
	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/ktap"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// skipExit is the exit code of a test that could not be judged: KSFT_SKIP of
// kselftest.h.
const skipExit = 4

// markPrefix starts what the laboratory writes into the kernel's log.
const markPrefix = "kernlab: "

// caseDir is where a case's own files are in the guest, and where its steps
// start.
const caseDir = bring.Dir

// steps runs a case's steps up to the first that does not hold: the later
// ones build on it.
func (g *session) steps(ctx context.Context, u *unit, s *seen) {
	budget := g.r.patient(u.c.Timeout, cases.DefaultTimeout, g.job.req)
	start := time.Now()
	for i := range u.c.Steps {
		step := &u.c.Steps[i]
		limit := budget - time.Since(start)
		if step.Timeout != 0 {
			limit = min(limit, g.r.patient(step.Timeout, 0, g.job.req))
		}
		g.Mark(ctx, fmt.Sprintf("%s: step %d %s", u.c.Name, i+1, step.Name))
		if !g.tellMonitor(s, step) {
			return
		}
		r := g.exec(ctx, g.r.stepCmd(step), max(limit, time.Second))
		g.record(fmt.Sprintf("%s, step %d %s", u.c.Name, i+1, step.Name), r)
		if !g.judgeStep(ctx, u, s, step, r) {
			return
		}
	}
}

// tellMonitor gives QEMU's monitor what a step has for it, and reports whether
// it took it. It answers with words where it does not.
func (g *session) tellMonitor(s *seen, step *cases.Step) bool {
	for _, line := range step.Monitor {
		answer, err := g.Monitor(line)
		if err != nil {
			answer = err.Error()
		}
		if answer != "" {
			s.fail(fmt.Sprintf("%smonitor command %q: %s", prefixOf(step), line, answer))
			return false
		}
	}
	return true
}

// prefixOf returns what stands before all that is said of a step.
func prefixOf(step *cases.Step) string {
	if step.Name == "" {
		return ""
	}
	return "step " + step.Name + ": "
}

// stepCmd returns the command of a step: its lines as a shell script that ends
// with the first one that fails.
func (r *Runner) stepCmd(step *cases.Step) guest.Cmd {
	return guest.Cmd{
		Argv: []string{"sh", "-e", "-c", step.Run, "step"},
		Dir:  cmp.Or(r.dir, caseDir), UID: uint32(step.User), GID: uint32(step.User),
	}
}

// judgeStep adds what a step showed to s, and reports whether the next may run.
func (g *session) judgeStep(ctx context.Context, u *unit, s *seen, step *cases.Step, r ran) bool {
	name, prefix := step.Name, prefixOf(step)
	switch {
	case r.hang != "":
		s.hang = prefix + r.hang
		return false
	case r.late:
		g.Stacks(ctx)
		s.hang = prefix + "no end within its time" + lastLine(r)
		return false
	case r.err != nil:
		s.ended(g, prefix, r.err)
		return false
	}
	var subtests []result.Subtest
	if step.KTAP {
		root, found, err := ktap.Parse(strings.NewReader(r.stdout))
		if err == nil && found {
			subtests = root.Subtests()
		} else if r.exit == step.WantExit() {
			s.fail(prefix + "printed no KTAP")
		}
	}
	why := g.holds(ctx, step, r)
	o := outcome.Pass
	switch {
	case r.exit == skipExit && step.WantExit() != skipExit:
		o, why = outcome.Skip, strings.TrimPrefix(lastLine(r), ": ")
	case why != "":
		o = outcome.Fail
	}
	if name != "" {
		for i := range subtests {
			subtests[i].Name = name + ktap.Separator + subtests[i].Name
		}
	}
	s.subtests = append(s.subtests, subtests...)
	if name != "" && (len(subtests) == 0 || (o == outcome.Fail && !anyBad(subtests))) {
		s.subtests = append(s.subtests, result.Subtest{Name: name, Outcome: o, Reason: why, Duration: r.took})
	}
	switch o {
	case outcome.Fail:
		if anyBad(subtests) {
			return false // they say more than the exit code
		}
		s.fail(prefix + why)
	case outcome.Skip:
		s.skip(prefix + why)
	}
	return o == outcome.Pass && !anyBad(subtests)
}

func anyBad(list []result.Subtest) bool {
	for _, t := range list {
		if t.Outcome.Bad() {
			return true
		}
	}
	return false
}

// holds returns what of the step's demands does not hold, or "".
func (g *session) holds(ctx context.Context, step *cases.Step, r ran) string {
	if r.exit != step.WantExit() {
		return fmt.Sprintf("exit code %d, not %d%s", r.exit, step.WantExit(), lastLine(r))
	}
	if why := step.Stdout.Check(r.stdout); why != "" {
		return "stdout " + why
	}
	if why := step.Stderr.Check(r.stderr); why != "" {
		return "stderr " + why
	}
	if step.Dmesg == nil {
		return ""
	}
	log := g.exec(ctx, guest.Cmd{Argv: []string{"dmesg"}}, dying)
	if log.err != nil || log.exit != 0 {
		return "the kernel's log could not be read"
	}
	text := log.stdout
	if i := strings.LastIndex(text, markPrefix); i >= 0 {
		text = text[i:]
	}
	if why := step.Dmesg.Check(text); why != "" {
		return "the kernel's log " + why
	}
	return ""
}

// lastLine returns the last thing a command said, to stand behind a reason.
func lastLine(r ran) string {
	for _, s := range []string{r.stderr, r.stdout} {
		s = strings.TrimSpace(s)
		if s = strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:]); s != "" {
			const most = 200
			if len(s) > most {
				s = s[:most] + "…"
			}
			return ": " + s
		}
	}
	return ""
}
