package livepatch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/outcome"
)

// OnStall says what to do with a transition that does not end in time.
type OnStall string

// Choices.
const (
	StallWait   OnStall = "wait"   // leave it at work, and say so
	StallRevert OnStall = "revert" // go back to where it began
)

// Options of Apply and Revert.
type Options struct {
	// Deadline is how long the transition may take; 0 is without end.
	Deadline time.Duration
	OnStall  OnStall
	// Stack allows to replace functions that other hotpatches replace already.
	Stack bool
	// Watch, if not nil, is told now and then who holds the transition up.
	Watch func(waited time.Duration, blockers []Task)
}

// Result is how an operation ended.
type Result struct {
	Patch string `json:"patch"`
	// State is what the patch is doing now.
	State State `json:"state"`
	// Already is set when nothing had to be done.
	Already bool `json:"already,omitempty"`
	// Reverted is set when a transition that stalled was taken back.
	Reverted bool `json:"reverted,omitempty"`
	// Transition is how long the transition took, in seconds.
	Transition float64 `json:"transition_seconds"`
	// Blockers are the tasks that held it up when the time was over.
	Blockers []Task `json:"blockers,omitempty"`
	// Replaced are hotpatches that this one took the place of; their modules
	// can be unloaded.
	Replaced []string `json:"replaced,omitempty"`
	Notes    []string `json:"notes,omitempty"`
}

// Apply loads a hotpatch and waits until every task uses it. Applying what is
// applied already does nothing and is no error. When the transition does not
// end in time, the error has the outcome Hang and the result says who holds it
// up.
func (h *Host) Apply(ctx context.Context, f *File, opt Options) (*Result, error) {
	if err := h.mayChange(); err != nil {
		return nil, err
	}
	found := h.Check(f)
	for i, c := range found {
		if c.Check == "overlap" && c.Fatal && opt.Stack {
			found[i].Fatal = false
		}
	}
	if err := Failed(found); err != nil {
		return nil, fmt.Errorf("%s cannot be applied: %w; nothing was changed", f.Manifest.Name, err)
	}
	j, err := h.openJournal(ctx)
	if err != nil {
		return nil, err
	}
	defer j.close()
	res, err := h.applyLocked(ctx, j, f, opt, OpApply)
	return res, err
}

// mayChange refuses operations that cannot work.
func (h *Host) mayChange() error {
	if h.sys.uid() != 0 {
		return outcome.Errorf(outcome.Infra, "only root may do this: run it as root; nothing was changed")
	}
	if err := h.Supported(); err != nil {
		return outcome.Errorf(outcome.Infra, "%w; nothing was changed", err)
	}
	return nil
}

func (h *Host) applyLocked(ctx context.Context, j *journal, f *File, opt Options, op Op) (*Result, error) {
	name := f.Manifest.Name
	res := &Result{Patch: name}
	before := h.State(name)
	if before == Applied {
		res.State, res.Already = Applied, true
		return res, nil
	}
	end, err := j.begin(Entry{Op: op, Patch: name, SHA256: f.SHA256})
	if err != nil {
		return nil, err
	}
	others, _ := h.Patches()
	switch before {
	case Inactive:
		// It was reverted and not unloaded, or its loading was cut short. A
		// livepatch cannot be enabled again, so it is loaded anew.
		if len(f.Manifest.Pinned) > 0 {
			return nil, end(fmt.Errorf("%s was reverted, and cannot be applied again before the next boot: for that its module would have to be unloaded, and the kernel may have kept an address in it (%s); nothing was changed", name, strings.Join(f.Manifest.Pinned, "; ")), "")
		}
		if err := h.unloadWait(ctx, name); err != nil {
			return nil, end(fmt.Errorf("make room for %s, which was reverted: %w", name, err), "")
		}
		fallthrough
	case Absent:
		if err := h.load(f, res); err != nil {
			return nil, end(err, strings.Join(res.Notes, "; "))
		}
	case Reverting:
		if err := h.enable(name, true); err != nil {
			return nil, end(fmt.Errorf("turn the revert of %s around: %w", name, err), "")
		}
	}
	err = h.wait(ctx, name, Applied, opt, res)
	if err == nil {
		for _, p := range others {
			if p.Name != name && p.State == Applied && h.State(p.Name) == Inactive {
				res.Replaced = append(res.Replaced, p.Name)
			}
		}
	}
	return res, end(err, fmt.Sprintf("transition took %.3f s", res.Transition))
}

// load loads the module; its initialisation starts the transition.
func (h *Host) load(f *File, res *Result) error {
	k := h.openKmsg()
	defer k.close()
	err := h.sys.load(f.Data)
	if err == nil {
		return nil
	}
	res.Notes = k.about(f.Manifest.Name)
	said := ""
	if len(res.Notes) > 0 {
		said = "; the kernel says: " + strings.Join(res.Notes, " | ")
	}
	hint := ""
	switch {
	case errors.Is(err, unix.ENOKEY), errors.Is(err, unix.EKEYREJECTED):
		hint = ": it is signed with a key the kernel does not know, or not signed"
	case errors.Is(err, unix.EPERM):
		hint = ": loading modules is forbidden (kernel.modules_disabled, lockdown, or missing capabilities)"
	case errors.Is(err, unix.ENOEXEC):
		hint = ": the module was not made for this kernel's configuration, or is damaged"
	case strings.Contains(said, "callback failed"):
		hint = ": its own callback said no"
	case errors.Is(err, unix.EBUSY):
		hint = ": another transition is at work"
	}
	return fmt.Errorf("the kernel did not load %s (%w%s)%s; nothing was changed", f.Manifest.Name, err, hint, said)
}

// enable writes to a patch's switch.
func (h *Host) enable(name string, on bool) error {
	v := "0"
	if on {
		v = "1"
	}
	return os.WriteFile(h.path(livepatchDir, name, "enabled"), []byte(v), 0)
}

// Waiting: how often the transition is looked at, and how often those who hold
// it up are looked for.
const (
	pollFirst = time.Millisecond
	pollLast  = 20 * time.Millisecond
	watchStep = time.Second
)

// wait waits until a patch has the state it is on its way to.
func (h *Host) wait(ctx context.Context, name string, want State, opt Options, res *Result) error {
	start, step, told := time.Now(), pollFirst, time.Duration(0)
	for {
		res.State = h.State(name)
		waited := time.Since(start)
		res.Transition = waited.Seconds()
		if reached(res.State, want) {
			return nil
		}
		if opt.Deadline > 0 && waited >= opt.Deadline {
			return h.stalled(ctx, name, want, opt, res)
		}
		if opt.Watch != nil && waited-told >= watchStep {
			told = waited
			if p, ok := h.active(name); ok {
				// There are none when the kernel has only not looked yet.
				if list := h.Blockers(p); len(list) > 0 {
					opt.Watch(waited, list)
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted: %s is still %s; see 'hotpatch status'; %w", name, res.State, ctx.Err())
		case <-time.After(step):
		}
		step = min(step*5/4+1, pollLast)
	}
}

// reached reports whether a state is the one wanted. A patch that is fully
// reverted is no longer known to the livepatch core.
func reached(s, want State) bool {
	return s == want || want == Inactive && s == Absent
}

// stalled is what happens when a transition does not end in time.
func (h *Host) stalled(ctx context.Context, name string, want State, opt Options, res *Result) error {
	if p, ok := h.active(name); ok {
		res.Blockers = h.Blockers(p)
	}
	stall := outcome.Errorf(outcome.Hang, "%s is still %s after %s, held up by %s", name, res.State, opt.Deadline, plural(len(res.Blockers), "task"))
	if opt.OnStall != StallRevert || want != Applied {
		return fmt.Errorf("%w; the kernel goes on trying: see 'hotpatch status --watch', or take it back with 'hotpatch revert %s'", stall, name)
	}
	if err := h.enable(name, false); err != nil && h.State(name) != Applied {
		return fmt.Errorf("%w; it could not be taken back: %w", stall, err)
	}
	if h.State(name) == Applied { // it ended just now
		res.State = Applied
		return nil
	}
	back := &Result{}
	err := h.wait(ctx, name, Inactive, Options{Deadline: opt.Deadline, OnStall: StallWait}, back)
	res.State = back.State
	if err != nil {
		return fmt.Errorf("%w; taking it back did not end in time either", stall)
	}
	res.Reverted = true
	if err := h.sys.unload(name); err == nil {
		res.State = Absent
	}
	return fmt.Errorf("%w; it was taken back, and the host is as before", stall)
}

// Revert makes every task use the old functions again. Reverting what is not
// applied does nothing and is no error.
func (h *Host) Revert(ctx context.Context, name string, opt Options) (*Result, error) {
	if err := h.mayChange(); err != nil {
		return nil, err
	}
	j, err := h.openJournal(ctx)
	if err != nil {
		return nil, err
	}
	defer j.close()
	res := &Result{Patch: name, State: h.State(name)}
	if res.State == Inactive || res.State == Absent {
		res.Already = true
		return res, nil
	}
	if err := h.idle(name); err != nil {
		return nil, err
	}
	end, err := j.begin(Entry{Op: OpRevert, Patch: name})
	if err != nil {
		return nil, err
	}
	if res.State != Reverting {
		if err := h.enable(name, false); err != nil {
			return nil, end(fmt.Errorf("revert %s: %w; nothing was changed", name, err), "")
		}
	}
	err = h.wait(ctx, name, Inactive, opt, res)
	return res, end(err, fmt.Sprintf("transition took %.3f s", res.Transition))
}

// idle makes sure that no other patch is in transition.
func (h *Host) idle(name string) error {
	patches, err := h.Patches()
	if err != nil {
		return err
	}
	for _, p := range patches {
		if p.Name != name && (p.State == Applying || p.State == Reverting) {
			return fmt.Errorf("the kernel is still %s %s, and does one at a time: wait until it ends (hotpatch status --watch); nothing was changed", p.State, p.Name)
		}
	}
	return nil
}

// Unload removes the module of a hotpatch that is reverted. One whose addresses
// the kernel may have kept is only removed by force.
func (h *Host) Unload(ctx context.Context, name string, force bool) (*Result, error) {
	if err := h.mayChange(); err != nil {
		return nil, err
	}
	j, err := h.openJournal(ctx)
	if err != nil {
		return nil, err
	}
	defer j.close()
	res := &Result{Patch: name, State: h.State(name)}
	switch res.State {
	case Absent:
		res.Already = true
		return res, nil
	case Inactive:
	default:
		return nil, fmt.Errorf("%s is %s: revert it first (hotpatch revert %s); nothing was changed", name, res.State, name)
	}
	m := h.manifest(name)
	if m == nil {
		return nil, fmt.Errorf("%s is not a module made by hotpatch; nothing was changed", name)
	}
	if len(m.Pinned) > 0 && !force {
		return nil, fmt.Errorf("%s should stay loaded until the next boot, since the kernel may have kept an address in it: %s; --force unloads it all the same; nothing was changed", name, strings.Join(m.Pinned, "; "))
	}
	end, err := j.begin(Entry{Op: OpUnload, Patch: name})
	if err != nil {
		return nil, err
	}
	err = h.unloadWait(ctx, name)
	res.State = h.State(name)
	return res, end(err, "")
}

// unloadWait unloads a module. The livepatch core lets go of it in the
// background after the last task has gone back, so that it may be in use for a
// moment.
func (h *Host) unloadWait(ctx context.Context, name string) error {
	for start := time.Now(); ; {
		err := h.sys.unload(name)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT), errors.Is(err, fs.ErrNotExist):
			return nil
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EBUSY) || time.Since(start) > 2*time.Second:
			return fmt.Errorf("unload %s: %w; it stays loaded and does nothing", name, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
