package run

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// lines writes cases as "name: outcome: reason".
func verdicts(r *result.Run) string {
	var b strings.Builder
	for _, c := range r.Cases {
		fmt.Fprintf(&b, "%s: %s%s\n", c.Name, c.Outcome, because(c.Reason))
	}
	return b.String()
}

func (b *bench) run() *result.Run {
	b.t.Helper()
	res, err := b.Run(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	b.checkEvents(res)
	return res
}

// checkEvents: every case that starts is finished, once, and in that order.
func (b *bench) checkEvents(res *result.Run) {
	b.t.Helper()
	state := map[string]string{}
	for _, e := range b.events {
		if e.Case == nil {
			continue
		}
		key := e.Case.Name + " " + e.Case.Arch
		switch {
		case e.Kind == result.Started && (state[key] == "" || state[key] == "finished" && b.Repeat > 1),
			e.Kind == result.Output && state[key] == "started",
			e.Kind == result.Finished && state[key] == "started":
		default:
			b.t.Errorf("event %s of %s after %q", e.Kind, key, state[key])
		}
		if e.Kind != result.Output {
			state[key] = string(e.Kind)
		}
	}
	for _, c := range res.Cases {
		if state[c.Name+" "+c.Arch] != "finished" {
			b.t.Errorf("%s is judged, but %q for the sink", c.Name, state[c.Name+" "+c.Arch])
		}
	}
}

func TestVerdicts(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"pass", "steps: [{run: 'true'}]", "pass"},
		{"fail", "steps: [{run: 'echo why >&2; false'}]", "fail: exit code 1, not 0: why"},
		{"first step that fails", "steps: [{name: a, run: 'true'}, {name: b, run: 'exit 2'}, {name: c, run: 'exit 3'}]",
			"fail: step b: exit code 2, not 0"},
		{"output", "steps: [{run: echo one, stdout: {equals: two}}]", `fail: stdout is "one", not "two"`},
		{"shell stops", "steps: [{run: \"false\\ntrue\\n\"}]", "fail: exit code 1, not 0"},
		{"killed", "steps: [{run: 'kill -9 $$', exit: 137}]", "pass"},
		{"skip", "steps: [{run: 'echo no device; exit 4'}]", "skip: no device"},
		{"skip code expected", "steps: [{run: exit 4, exit: 4}]", "pass"},
		{"ktap", "steps: [{run: 'echo KTAP version 1; echo 1..2; echo ok 1 a; echo not ok 2 b', ktap: true}]", "fail: b"},
		{"ktap truncated", "steps: [{run: 'echo KTAP version 1; echo 1..2; echo ok 1 a', ktap: true}]", "fail: (plan): missing 1 of 2: 2"},
		{"ktap missing", "steps: [{run: echo hello, ktap: true}]", "fail: printed no KTAP"},
		{"needs", "kernel: {needs: [CONFIG_B=y]}\nsteps: [{run: 'true'}]", "skip: the kernel lacks CONFIG_B=y"},
		{"profiles", "kernel: {profiles: [debug]}\nsteps: [{run: 'true'}]", "skip: it is for the profile debug"},
		{"late", "steps: [{run: sleep 100, timeout: 300ms}]", "hang: no end within its time"},
		{"splat", "steps: [{run: \"" + warnLine + "\"}]", "panic: WARNING in f at kernel/f.c"},
		{"splat outweighs failure", "steps: [{run: \"" + warnLine + "; false\"}]", "panic: WARNING in f at kernel/f.c"},
		{"expected splat", "steps: [{run: \"" + warnLine + "\"}]\nexpect: {splats: [{kind: warning}]}", "pass"},
		{"splat that did not come", "steps: [{run: 'true'}]\nexpect: {splats: [{kind: oom}]}",
			"fail: the expected splat did not come: oom; none came"},
		{"optional splat", "steps: [{run: 'true'}]\nexpect: {splats: [{kind: oom, optional: true}]}", "pass"},
		{"panic", "timeout: 1h\nsteps: [{run: \"echo '[ 1.000000] Kernel panic - not syncing: gone' >$CONSOLE; " +
			"echo '[ 1.000001] ---[ end Kernel panic - not syncing: gone ]---' >$CONSOLE; sleep 30\"}]", "panic: Kernel panic: gone"},
		{"expected panic", "timeout: 1h\nsteps: [{run: \"echo '[ 1.000000] Kernel panic - not syncing: gone' >$CONSOLE; " +
			"echo '[ 1.000001] ---[ end Kernel panic - not syncing: gone ]---' >$CONSOLE; sleep 30\"}]\nexpect: {outcome: panic, reason: gone}", "pass"},
		{"after a panic", "timeout: 1h\nsteps: [{run: \"echo '[ 1.000000] Kernel panic - not syncing: gone' >$CONSOLE; sleep 5.5; " +
			"echo found >$CONSOLE; sleep 0.2\"}]\nexpect: {outcome: panic, after: 1h, console: {contains: found}}", "pass"},
		{"no panic", "steps: [{run: 'true'}]\nexpect: {outcome: panic}", "fail: judged pass, but panic was expected"},
		{"panic while booting", "machine: {append: no-boot}\nsteps: [{run: 'true'}]", "panic: Kernel panic: VFS: Unable to mount root fs"},
		{"a flood", "timeout: 1h\nsteps: [{run: 'yes | head -c 20000000'}]", "pass"},
		{"monitor", "steps: [{monitor: [good, good], run: 'true'}]", "pass"},
		{"monitor refuses", "steps: [{name: a, monitor: [good, bad], run: exit 3}, {name: b, run: exit 3}]",
			"fail: step a: monitor command \"bad\": unknown command: 'bad'"},
		{"no such selftest step", "steps: [{run: ./nothing}]", "fail: exit code 127, not 0: step: 1: ./nothing: not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, map[string]string{"t/c": tt.text})
			if got, want := verdicts(b.run()), "t/c: "+tt.want+"\n"; got != want {
				t.Errorf("got  %swant %s", got, want)
			}
		})
	}
}

const warnLine = `echo '[    1.000000] WARNING: CPU: 0 PID: 1 at kernel/f.c:10 f+0x1/0x2' >$CONSOLE; sleep 0.2`

func TestSharedBoot(t *testing.T) {
	step := "shared: true\nsteps: [{run: 'true'}]"
	b := newBench(t, map[string]string{"t/a": step, "t/b": step, "t/c": step, "t/alone": "steps: [{run: 'true'}]",
		"t/other": "machine: {cpus: 4}\n" + step})
	res := b.run()
	if b.boots != 3 {
		t.Errorf("%d boots, want 3: one shared, two of their own", b.boots)
	}
	if o := res.Outcome(); o != outcome.Pass || len(res.Cases) != 5 {
		t.Errorf("%d cases, %s", len(res.Cases), o)
	}
}

// TestSharedDeath has the second of four sharing cases take the guest down:
// those after it are judged in guests of their own, and none is blamed for it.
func TestSharedDeath(t *testing.T) {
	good := "shared: true\nsteps: [{run: 'true'}]"
	bad := "shared: true\nsteps: [{run: \"echo '[ 1.000000] Kernel panic - not syncing: b' >$CONSOLE; " +
		"echo '[ 1.000001] ---[ end Kernel panic - not syncing: b ]---' >$CONSOLE; sleep 30\"}]"
	b := newBench(t, map[string]string{"t/a": good, "t/b": bad, "t/c": good, "t/d": good})
	want := "t/a: pass\nt/b: panic: Kernel panic: b\nt/c: pass\nt/d: pass\n"
	if diff := cmp.Diff(want, verdicts(b.run())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if b.boots != 3 {
		t.Errorf("%d boots, want 3", b.boots)
	}
}

func TestSilence(t *testing.T) {
	b := newBench(t, map[string]string{"t/c": "timeout: 1h\nsteps: [{run: 'kill -STOP $PPID; sleep 30'}]"})
	b.Patience = 0.05 // 30 s of silence become 1.5
	got := verdicts(b.run())
	if !strings.HasPrefix(got, "t/c: hang: the guest fell silent") {
		t.Errorf("got %s", got)
	}
}

// A second of a guest whose time is counted in instructions takes ten of ours.
func TestSilenceOfCountedTime(t *testing.T) {
	b := newBench(t, map[string]string{"t/c": "timeout: 1h\nmachine: {deterministic: true}\nsteps: [{run: 'kill -STOP $PPID; sleep 3; kill -CONT $PPID'}]"})
	b.Patience = 0.05
	if got := verdicts(b.run()); got != "t/c: pass\n" {
		t.Errorf("got %s", got)
	}
}

func TestRepeat(t *testing.T) {
	b := newBench(t, map[string]string{
		"t/flaky": "shared: true\nsteps: [{run: 'n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) >n; [ $n != 1 ]'}]",
		"t/good":  "shared: true\nsteps: [{run: 'true'}]",
	})
	b.Repeat, b.Jobs = 3, 2 // one after the other
	res := b.run()
	if len(res.Cases) != 2 {
		t.Fatalf("%d cases, want 2", len(res.Cases))
	}
	flaky, good := res.Cases[0], res.Cases[1]
	if flaky.Repeat == nil || flaky.Repeat.Runs != 3 || flaky.Repeat.Passed != 2 || !flaky.Flaky() || flaky.Outcome != outcome.Fail {
		t.Errorf("flaky: %s %+v", flaky.Outcome, flaky.Repeat)
	}
	if good.Repeat == nil || good.Repeat.Passed != 3 || good.Flaky() || good.Outcome != outcome.Pass {
		t.Errorf("good: %s %+v", good.Outcome, good.Repeat)
	}
}

func TestFailFast(t *testing.T) {
	texts := map[string]string{"t/a": "steps: [{run: 'false'}]"}
	for i := range 5 {
		texts[fmt.Sprintf("t/b%d", i)] = "steps: [{run: sleep 30}]"
	}
	b := newBench(t, texts)
	b.FailFast, b.Jobs = true, 2
	res, err := b.Run(context.Background())
	if err != nil || res.Interrupted {
		t.Fatalf("%v, interrupted %v", err, res.Interrupted)
	}
	if got := verdicts(res); got != "t/a: fail: exit code 1, not 0\n" {
		t.Errorf("got %s", got)
	}
}

// TestInterrupt cancels a run whose first case is judged and whose others
// never end: the guests are gone, and what was judged is reported.
func TestInterrupt(t *testing.T) {
	b := newBench(t, map[string]string{"t/a": "steps: [{run: 'true'}]", "t/b": "steps: [{run: sleep 30}]", "t/c": "steps: [{run: sleep 30}]"})
	ctx, cancel := context.WithCancel(context.Background())
	b.Sink = sinkFunc(func(e result.Event) {
		b.Event(e)
		if e.Kind == result.Finished {
			cancel()
		}
	})
	res, err := b.Run(ctx)
	if err == nil || !res.Interrupted {
		t.Errorf("error %v, interrupted %v", err, res.Interrupted)
	}
	if got := verdicts(res); got != "t/a: pass\n" {
		t.Errorf("got %s", got)
	}
	// The deadline is for a test that hangs, not a measure.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		left := b.now
		b.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d guests are left", left)
		}
	}
}

type sinkFunc func(result.Event)

func (f sinkFunc) Event(e result.Event)    { f(e) }
func (f sinkFunc) Close(*result.Run) error { return nil }

// TestRoom: guests cost their CPUs, and a large one is alone.
func TestRoom(t *testing.T) {
	texts := map[string]string{"t/large": "machine: {cpus: 16}\nsteps: [{run: 'true'}]"}
	for i := range 6 {
		texts[fmt.Sprintf("t/c%d", i)] = "steps: [{run: sleep 0.1}]"
	}
	b := newBench(t, texts)
	b.Jobs = 4
	if o := b.run().Outcome(); o != outcome.Pass {
		t.Errorf("%s", o)
	}
	if b.most > 2 {
		t.Errorf("%d guests of 2 CPUs at once in room for 4", b.most)
	}
}

func TestBrokenKernel(t *testing.T) {
	b := newBench(t, map[string]string{"t/c": "steps: [{run: 'true'}]"})
	b.Kernel.Profile = "broken"
	want := "t/c: fail: its kernel: fs/proc/base.c:12: error: what is this?\n"
	if got := verdicts(b.run()); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if b.boots != 0 {
		t.Errorf("%d boots of a kernel that is not there", b.boots)
	}
}

func TestShardsOfRun(t *testing.T) {
	texts := map[string]string{}
	for i := range 7 {
		texts[fmt.Sprintf("t/c%d", i)] = "steps: [{run: 'true'}]"
	}
	seen := map[string]int{}
	for n := 1; n <= 3; n++ {
		b := newBench(t, texts)
		b.Arches = arch.All
		b.Shard = cases.Shard{Index: n, Count: 3}
		for _, c := range b.run().Cases {
			seen[c.Name+c.Arch]++
		}
	}
	if len(seen) != 14 {
		t.Errorf("%d of 14 cases ran", len(seen))
	}
	for name, n := range seen {
		if n != 1 {
			t.Errorf("%s ran %d times", name, n)
		}
	}
}

func TestRepro(t *testing.T) {
	b := newBench(t, map[string]string{"t/c": "steps: [{run: 'false'}]"})
	b.Kernel.Without = []string{"vmf"}
	b.Kernel.Profile = "debug"
	res := b.run()
	want := "kernlab test t/c --arch arm64 --profile debug --without vmf"
	if got := res.Cases[0].Repro; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWithoutTopic(t *testing.T) {
	b := newBench(t, map[string]string{"vmf/c": "steps: [{run: 'true'}]"})
	b.Kernel.Without = []string{"vmf"}
	if got := verdicts(b.run()); got != "vmf/c: skip: the kernel is built without vmf\n" {
		t.Errorf("got %s", got)
	}
}

// TestBadPayload: what cannot be brought into the guest fails its case alone.
func TestBadPayload(t *testing.T) {
	b := newBench(t, map[string]string{
		"t/bad":  "shared: true\nfiles: [gone.sh]\nsteps: [{run: 'true'}]",
		"t/good": "shared: true\nsteps: [{run: 'true'}]",
	})
	got := verdicts(b.run())
	if !strings.HasPrefix(got, "t/bad: fail: stat ") || !strings.HasSuffix(got, "t/good: pass\n") {
		t.Errorf("got %s", got)
	}
}
