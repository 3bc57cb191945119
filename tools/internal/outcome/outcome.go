// Package outcome is the one vocabulary in which cloudkernel says how
// something ended, and the exit code that stands for each word.
package outcome

import (
	"errors"
	"fmt"
	"strings"
)

// Outcome says how a case, or a whole run, ended.
type Outcome string

const (
	Pass     Outcome = "pass"      // everything that must hold held
	Fail     Outcome = "fail"      // the guest answered, and the answer was wrong
	Skip     Outcome = "skip"      // could not be judged here, and says why
	Panic    Outcome = "panic"     // the kernel printed a splat that is not allowed, or died
	Hang     Outcome = "hang"      // the guest fell silent, or ran out of its time
	BootFail Outcome = "boot-fail" // the guest never said hello
	Infra    Outcome = "infra"     // the laboratory itself failed: a missing tool, no disk space
)

// Exit codes of both tools. Usage and Interrupted belong to no outcome.
const (
	ExitUsage       = 2
	ExitInterrupted = 130
)

// table is ordered by how much an outcome weighs in a run that has several,
// lightest first.
var table = []struct {
	outcome Outcome
	exit    int
	meaning string
}{
	{Skip, 7, "nothing could be judged: everything was skipped"},
	{Pass, 0, "everything passed"},
	{Infra, 6, "the laboratory failed: a tool, a download, disk space"},
	{Fail, 1, "something failed"},
	{BootFail, 5, "a guest did not boot"},
	{Hang, 4, "a guest hung"},
	{Panic, 3, "a kernel splat"},
}

// Exit returns the exit code of o.
func (o Outcome) Exit() int {
	for _, r := range table {
		if r.outcome == o {
			return r.exit
		}
	}
	return table[2].exit
}

// Bad reports whether o must make a run fail.
func (o Outcome) Bad() bool { return o != Pass && o != Skip }

// Worst returns the outcome that a run with these outcomes has: the heaviest,
// where a pass outweighs a skip. Worst of nothing is Skip.
func Worst(os ...Outcome) Outcome {
	worst := 0
	for _, o := range os {
		for i, r := range table {
			if r.outcome == o && i > worst {
				worst = i
			}
		}
	}
	return table[worst].outcome
}

// ExitStatus returns the EXIT STATUS section that ends a long help text.
func ExitStatus() string {
	var b strings.Builder
	b.WriteString("EXIT STATUS\n")
	row := func(code int, meaning string) { fmt.Fprintf(&b, "  %-4d %s\n", code, meaning) }
	row(0, "everything passed")
	row(1, "something failed, or was found wrong")
	row(ExitUsage, "the command line was wrong")
	for code := 3; code <= 7; code++ {
		for _, r := range table {
			if r.exit == code {
				row(code, fmt.Sprintf("%s (%s)", r.meaning, r.outcome))
			}
		}
	}
	row(ExitInterrupted, "interrupted")
	return b.String()
}

// Error is an error that knows how the work ended.
type Error struct {
	Outcome Outcome
	Err     error
}

// Errorf returns an Error with outcome o.
func Errorf(o Outcome, format string, args ...any) error {
	return &Error{Outcome: o, Err: fmt.Errorf(format, args...)}
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Of returns the outcome that err carries: Pass for nil, Fail for an error
// that carries none.
func Of(err error) Outcome {
	if err == nil {
		return Pass
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	return Fail
}
