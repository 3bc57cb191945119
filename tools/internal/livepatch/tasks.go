package livepatch

import (
	"os"
	"sort"
	"strconv"
	"strings"
)

// Cause says why a task has not changed over.
type Cause string

// Causes.
const (
	// CauseInFunction: a function that is replaced is on its stack.
	CauseInFunction Cause = "sleeps in a function that is replaced"
	// CauseKthread: a kernel thread changes over when it schedules with none of
	// the functions on its stack, and this one has not yet.
	CauseKthread Cause = "is a kernel thread that has not come to a safe point"
	// CauseRunning: it computes in user space, and changes over when it enters
	// the kernel, or is interrupted on its way back.
	CauseRunning Cause = "runs without entering the kernel"
	// CauseUnreliable: its stack has none of the functions, but cannot be
	// trusted: it was interrupted in the kernel.
	CauseUnreliable Cause = "has a stack that cannot be relied on at the moment"
)

// Task is a task that holds up a transition.
type Task struct {
	PID     int      `json:"pid"`
	TID     int      `json:"tid"`
	Command string   `json:"command"`
	Kernel  bool     `json:"kernel_thread"`
	State   string   `json:"state"` // as in /proc/<pid>/stat
	Cause   Cause    `json:"cause"`
	Where   string   `json:"function,omitempty"` // the replaced function it is in
	Stack   []string `json:"stack"`              // innermost first; empty if it cannot be read
}

// pfKthread is PF_KTHREAD of linux/sched.h, as /proc/<pid>/stat shows it.
const pfKthread = 0x00200000

// Blockers returns the tasks that have not changed over, for a patch that is in
// transition. functions are the names whose presence on a stack holds a task
// up.
func (h *Host) Blockers(p Patch) []Task {
	want := "1" // patched
	switch p.State {
	case Applying:
	case Reverting:
		want = "0"
	default:
		return nil
	}
	functions := map[string]bool{}
	for _, o := range p.Objects {
		for _, f := range o.Functions {
			functions[f.Name] = true
		}
	}
	var list []Task
	h.eachTask(func(pid, tid int, dir string) {
		state, err := h.line(dir, "patch_state")
		if err != nil || state == want || state == "-1" {
			return
		}
		if t, ok := h.task(pid, tid, dir); ok {
			t.explain(functions)
			list = append(list, t)
		}
	})
	sort.Slice(list, func(i, j int) bool { return list[i].TID < list[j].TID })
	return list
}

// OnStacks returns the tasks that have one of the functions on their stack now.
func (h *Host) OnStacks(functions map[string]bool) []Task {
	var list []Task
	h.eachTask(func(pid, tid int, dir string) {
		t, ok := h.task(pid, tid, dir)
		if !ok {
			return
		}
		if t.explain(functions); t.Cause == CauseInFunction {
			list = append(list, t)
		}
	})
	sort.Slice(list, func(i, j int) bool { return list[i].TID < list[j].TID })
	return list
}

// eachTask calls f for every thread of every process, with its directory.
func (h *Host) eachTask(f func(pid, tid int, dir string)) {
	procs, _ := os.ReadDir(h.path("proc"))
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		tasks, _ := os.ReadDir(h.path("proc", p.Name(), "task"))
		for _, t := range tasks {
			if tid, err := strconv.Atoi(t.Name()); err == nil {
				f(pid, tid, "proc/"+p.Name()+"/task/"+t.Name())
			}
		}
	}
}

// task reads what a task is and where it sleeps; ok is false if it is gone.
func (h *Host) task(pid, tid int, dir string) (Task, bool) {
	stat, err := h.line(dir, "stat")
	if err != nil {
		return Task{}, false
	}
	// pid (comm) state ppid …; the command may hold anything, parentheses too.
	from, to := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if from < 0 || to < from {
		return Task{}, false
	}
	t := Task{PID: pid, TID: tid, Command: stat[from+1 : to], Stack: []string{}}
	fields := strings.Fields(stat[to+1:])
	if len(fields) > 6 {
		t.State = fields[0]
		flags, _ := strconv.ParseUint(fields[6], 10, 64)
		t.Kernel = flags&pfKthread != 0
	}
	data, err := os.ReadFile(h.path(dir, "stack"))
	if err != nil {
		return t, true
	}
	for line := range strings.Lines(string(data)) { // [<0>] function+0x10/0x80
		_, fn, ok := strings.Cut(strings.TrimSpace(line), "] ")
		if ok {
			t.Stack = append(t.Stack, fn)
		}
	}
	return t, true
}

// explain works out why the task holds up a change to functions.
func (t *Task) explain(functions map[string]bool) {
	for _, frame := range t.Stack {
		name, _, _ := strings.Cut(frame, "+")
		if functions[name] {
			t.Cause, t.Where = CauseInFunction, name
			return
		}
	}
	switch {
	case t.Kernel:
		t.Cause = CauseKthread
	case t.State == "R":
		t.Cause = CauseRunning
	default:
		t.Cause = CauseUnreliable
	}
}
