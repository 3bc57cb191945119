package lab

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/outcome"
)

// Failure is how a guest came to its end.
type Failure struct {
	Outcome outcome.Outcome
	Err     error
	Console []string // its last lines
	Log     string   // path of the console's log
}

// failureLines is how many lines of the console a failure shows.
const failureLines = 25

// Error returns the reason and the last lines of the console.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v", f.Err)
	lines := f.Console[max(0, len(f.Console)-failureLines):]
	if len(lines) == 0 {
		b.WriteString("\nthe guest printed nothing on its console")
		return b.String()
	}
	b.WriteString("\nthe last lines of the guest's console:")
	for _, l := range lines {
		b.WriteString("\n  " + l)
	}
	return b.String()
}

// Unwrap lets errors.As find the outcome, and the error below it.
func (f *Failure) Unwrap() []error {
	return []error{&outcome.Error{Outcome: f.Outcome, Err: f.Err}, f.Err}
}

func (g *Guest) fail(o outcome.Outcome, err error) error {
	return &Failure{Outcome: o, Err: err, Console: g.Console.Last(200), Log: filepath.Join(g.Dir, "console.log")}
}

// ErrSwitchedOff means that something in the guest switched it off.
var ErrSwitchedOff error = &outcome.Error{Outcome: outcome.Fail, Err: errors.New("the guest switched itself off")}

// Explain turns an error of the client that says no more than that the guest
// is gone into what happened to it: a panic, an end that something in it asked
// for (ErrSwitchedOff), or one that nobody did. Other errors are returned as
// they are.
func (g *Guest) Explain(err error) error {
	if !errors.Is(err, guest.ErrGone) {
		return err
	}
	select {
	case <-g.Machine.Done():
	case <-time.After(exitWait):
	}
	if why := g.panics.first(); why != "" {
		return g.fail(outcome.Panic, errors.New(why))
	}
	if qerr := g.Machine.Err(); qerr != nil {
		return g.fail(outcome.Infra, qerr)
	}
	if g.Machine.Reason() == "guest-shutdown" {
		return ErrSwitchedOff
	}
	return g.fail(outcome.Fail, fmt.Errorf("the guest ended (%s)", g.Machine.Reason()))
}

// infra marks an error of the laboratory itself, unless it says better.
func infra(err error) error {
	var known *outcome.Error
	if errors.As(err, &known) {
		return err
	}
	return &outcome.Error{Outcome: outcome.Infra, Err: err}
}

// panicWatch looks for a kernel's last words. What else a console may say is
// for others to judge; that a guest died is known here.
type panicWatch struct {
	next func(string)

	mu  sync.Mutex
	why string
}

const panicMark = "Kernel panic - not syncing: "

func (p *panicWatch) line(s string) {
	if i := strings.Index(s, panicMark); i >= 0 {
		p.mu.Lock()
		if p.why == "" {
			p.why = "kernel panic: " + strings.TrimSpace(s[i+len(panicMark):])
		}
		p.mu.Unlock()
	}
	if p.next != nil {
		p.next(s)
	}
}

func (p *panicWatch) first() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

// quote makes arguments fit to be pasted into a shell.
func quote(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if a != "" && strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=,./:+%@") == "" {
			out[i] = a
			continue
		}
		out[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return out
}
