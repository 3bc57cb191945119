package hotpatchcli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"cloudkernel/tools/internal/livepatch"
)

// hostFlags are what all commands of the operator's side have.
type hostFlags struct {
	dir  string
	json bool
}

func (o *hostFlags) add(f *pflag.FlagSet) {
	f.StringVar(&o.dir, "dir", livepatch.DefaultDir, "directory of the journal and of installed hotpatches")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
}

func (o *hostFlags) host() *livepatch.Host { return livepatch.This(o.dir) }

// waitFlags are what commands have that start a transition.
type waitFlags struct {
	deadline time.Duration
	onStall  string
}

func (o *waitFlags) options(a *app) (livepatch.Options, error) {
	opt := livepatch.Options{Deadline: o.deadline, OnStall: livepatch.OnStall(o.onStall), Watch: a.watch}
	switch opt.OnStall {
	case livepatch.StallWait, livepatch.StallRevert, "":
	default:
		return opt, usagef("--on-stall is wait or revert, not %q", o.onStall)
	}
	if o.deadline < 0 {
		return opt, usagef("--deadline cannot be negative")
	}
	return opt, nil
}

// watch tells a person who holds a transition up.
func (a *app) watch(waited time.Duration, blockers []livepatch.Task) {
	what := "tasks have"
	if len(blockers) == 1 {
		what = "task has"
	}
	fmt.Fprintf(a.err, "after %s: %d %s not changed over\n", waited.Round(time.Second), len(blockers), what)
	for i, t := range blockers {
		if i == 3 {
			fmt.Fprintf(a.err, "  and %d more\n", len(blockers)-i)
			break
		}
		fmt.Fprintf(a.err, "  %s\n", taskLine(t))
	}
}

func taskLine(t livepatch.Task) string {
	s := fmt.Sprintf("%s (%d) %s", t.Command, t.TID, t.Cause)
	if t.Where != "" {
		s += ": " + t.Where
	}
	return s
}

// printTasks prints tasks with their stacks.
func printTasks(w io.Writer, tasks []livepatch.Task) {
	for _, t := range tasks {
		fmt.Fprintf(w, "  %s\n", taskLine(t))
		for _, f := range t.Stack {
			fmt.Fprintf(w, "      %s\n", f)
		}
	}
}

func printResult(w io.Writer, r *livepatch.Result) {
	switch {
	case r.Already:
		fmt.Fprintf(w, "%s is %s already\n", r.Patch, r.State)
	default:
		fmt.Fprintf(w, "%s is %s (transition: %.0f ms)\n", r.Patch, r.State, r.Transition*1000)
	}
	for _, o := range r.Replaced {
		fmt.Fprintf(w, "it took the place of %s: hotpatch unload %s\n", o, o)
	}
	if len(r.Blockers) > 0 {
		fmt.Fprintln(w, "held up by:")
		printTasks(w, r.Blockers)
	}
}

// finish prints the result of an operation, and returns its error. An error
// leaves the result to be told as well: it says who is to blame.
func (a *app) finish(asJSON bool, r *livepatch.Result, err error) error {
	if r == nil {
		return err
	}
	if asJSON {
		v := struct {
			*livepatch.Result
			Error string `json:"error,omitempty"`
		}{Result: r}
		if err != nil {
			v.Error = err.Error()
		}
		if jerr := printJSON(a.out, v); jerr != nil {
			return jerr
		}
		return err
	}
	if err == nil || len(r.Blockers) > 0 {
		printResult(a.out, r)
	}
	return err
}
