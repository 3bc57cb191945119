package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/payload"
	"cloudkernel/tools/internal/store"
)

// foreign is an architecture that is not this machine's: its guests are
// emulated wherever the test runs.
func foreign() *arch.Arch {
	if runtime.GOARCH == arch.ARM64.GOARCH {
		return arch.X86_64
	}
	return arch.ARM64
}

// fakeKernels "builds" kernels whose configuration is CONFIG_HAVE=y.
type fakeKernels struct{ dir string }

func (f fakeKernels) Build(_ context.Context, r kernel.Request) (*kernel.Kernel, func(), error) {
	if r.Profile == "broken" {
		return nil, nil, errors.New("make: error 2")
	}
	k := &kernel.Kernel{Arch: r.Arch, Dir: f.dir, Info: kernel.Info{Key: "key of " + r.String(), Release: "6.12.1"}}
	return k, func() {}, os.WriteFile(k.Config(), []byte("CONFIG_HAVE=y\n"), 0o644)
}

// fakeRig answers trials from a function, and remembers them.
type fakeRig struct {
	trials []string
	answer func(n int, t Trial) (Observation, error)
}

func (f *fakeRig) Run(_ context.Context, t Trial) (Observation, error) {
	f.trials = append(f.trials, t.Variant.Name)
	return f.answer(len(f.trials)-1, t)
}

func result(v float64) Observation {
	return Observation{Stdout: fmt.Sprintf("BenchmarkA 1 %v ns/op\n", v), Wall: time.Second}
}

// newRunner returns a runner whose both rigs are the fake.
func newRunner(t *testing.T, rig *fakeRig) *Runner {
	st := store.Open(t.TempDir())
	return &Runner{
		Root: t.TempDir(), Store: st, Kernels: fakeKernels{t.TempDir()}, Payload: &payload.Maker{Store: st},
		Initramfs: func(context.Context, *arch.Arch) (string, func(), error) { return "base", func() {}, nil },
		Rigs:      Rigs{Bare: rig, Full: rig}, Arches: []*arch.Arch{foreign()}, Dir: t.TempDir(),
	}
}

func declared(t *testing.T, more string) *Benchmark {
	t.Helper()
	b, err := Parse("qemu-tests/t/bench/b.yaml", []byte(good+more))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVariantsTakeTurns(t *testing.T) {
	rig := &fakeRig{answer: func(n int, _ Trial) (Observation, error) { return result(float64(100 + n)), nil }}
	r := newRunner(t, rig)
	rep, err := r.Run(t.Context(), []*Benchmark{declared(t, "count: 3\nvariants: [plain, series]\n")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Fields("plain series plain series plain series"), rig.trials); diff != "" {
		t.Error(diff)
	}
	b := rep.Benchmarks[0]
	if b.Outcome != "" || len(b.Samples) != 6 || b.Samples[3].Variant != "series" || b.Samples[3].Round != 1 {
		t.Errorf("%+v", b)
	}
	if b.Variants[0].Kernel != "key of "+foreign().Name+" --plain" {
		t.Errorf("the plain variant's kernel: %s", b.Variants[0].Kernel)
	}
	if rep.Guests != 6 {
		t.Errorf("guests ran for %v s, not 6", rep.Guests)
	}
}

func TestVsReplacesVariants(t *testing.T) {
	rig := &fakeRig{answer: func(int, Trial) (Observation, error) { return result(1), nil }}
	r := newRunner(t, rig)
	r.Count = 1
	r.Vs = []Variant{{Name: "boot:x", Boot: []string{"x"}}}
	var planned, done int
	r.Tell = func(e Event) { planned += e.Planned; done += e.Done }
	rep, err := r.Run(t.Context(), []*Benchmark{declared(t, "variants: [plain]\n")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"boot:x", "series"}, rig.trials); diff != "" {
		t.Error(diff)
	}
	want := "kernlab bench t/b --arch " + foreign().Name + " --vs 'boot:x' --count 1"
	if got := rep.Benchmarks[0].Repro; got != want {
		t.Errorf("again: %s, want %s", got, want)
	}
	if planned != 2 || done != 2 {
		t.Errorf("%d of %d runs were told of", done, planned)
	}
}

func TestDeterministicRunsAgree(t *testing.T) {
	same := &fakeRig{answer: func(int, Trial) (Observation, error) {
		o := result(5)
		o.Console = "[ 0.1] x\nBenchmarkA 1 5 ns/op\n"
		return o, nil
	}}
	rep, err := newRunner(t, same).Run(t.Context(), []*Benchmark{declared(t, "rig: deterministic\nvariants: [plain, series]\n")})
	if err != nil {
		t.Fatal(err)
	}
	if b := rep.Benchmarks[0]; b.Outcome != "" || len(b.Samples) != 2 || len(same.trials) != 4 {
		t.Errorf("%d samples of %d trials, %s", len(b.Samples), len(same.trials), b.Reason)
	}

	differ := &fakeRig{answer: func(n int, _ Trial) (Observation, error) {
		o := result(5)
		o.Console = fmt.Sprintf("[ 0.1] x\n[ 0.%d] y\n", n)
		return o, nil
	}}
	rep, err = newRunner(t, differ).Run(t.Context(), []*Benchmark{declared(t, "rig: deterministic\n")})
	if err != nil {
		t.Fatal(err)
	}
	b := rep.Benchmarks[0]
	if b.Outcome != "fail" || len(b.Samples) != 0 || !strings.Contains(b.Reason, "two runs on the deterministic rig differ") ||
		!strings.Contains(b.Reason, "line 2\n  first run:  [ 0.0] y\n  second run: [ 0.1] y") {
		t.Errorf("%d samples, %s: %s", len(b.Samples), b.Outcome, b.Reason)
	}

	// Of a boot, the marks count too.
	marks := &fakeRig{answer: func(n int, _ Trial) (Observation, error) {
		return Observation{Marks: Marks{PID1: time.Duration(n)}}, nil
	}}
	boot, err := Parse("qemu-tests/t/bench/b.yaml", []byte("summary: s\nrig: deterministic\nboot: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	rep, err = newRunner(t, marks).Run(t.Context(), []*Benchmark{boot})
	if err != nil || rep.Benchmarks[0].Outcome != "fail" {
		t.Errorf("%v, %+v", err, rep.Benchmarks[0])
	}
}

func TestWhatGoesWrong(t *testing.T) {
	fine := func(int, Trial) (Observation, error) { return result(1), nil }
	for _, tt := range []struct {
		name, more string
		answer     func(int, Trial) (Observation, error)
		outcome    outcome.Outcome
		reason     string
	}{
		{"no result", "", func(int, Trial) (Observation, error) { return Observation{Stdout: "hello\n"}, nil }, outcome.Fail, "series: no result was printed"},
		{"undeclared", "", func(int, Trial) (Observation, error) { return Observation{Stdout: "BenchmarkA 1 2 B/op\n"}, nil }, outcome.Fail, `a value in "B/op", which is not among`},
		{"panic", "", func(int, Trial) (Observation, error) {
			return Observation{}, splatted("WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x1/0x2\n", "log")
		}, outcome.Panic, "the kernel complained"},
		{"lacking", "kernel:\n  needs: [CONFIG_GONE=y]\n", fine, outcome.Skip, "the kernel lacks CONFIG_GONE=y"},
		{"no kernel", "variants: ['profile:broken']\n", fine, outcome.Fail, "its kernel: make: error 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rig := &fakeRig{answer: tt.answer}
			notes := ""
			r := newRunner(t, rig)
			r.Count = 1
			r.Tell = func(e Event) { notes += e.Note }
			rep, err := r.Run(t.Context(), []*Benchmark{declared(t, tt.more), declared(t, "")})
			if err != nil {
				t.Fatal(err)
			}
			b := rep.Benchmarks[0]
			if b.Outcome != string(tt.outcome) || !strings.Contains(b.Reason, tt.reason) || !strings.Contains(notes, tt.reason) {
				t.Errorf("%s: %s\nnotes: %s", b.Outcome, b.Reason, notes)
			}
			if len(rep.Benchmarks) != 2 {
				t.Error("the benchmark after it did not run")
			}
		})
	}
	// What a variant is compared with need not have what the series has.
	rig := &fakeRig{answer: fine}
	r := newRunner(t, rig)
	r.Count = 1
	rep, err := r.Run(t.Context(), []*Benchmark{declared(t, "kernel:\n  needs: [CONFIG_GONE=y]\nvariants: [plain]\n")})
	if err != nil || rep.Benchmarks[0].Outcome != "" {
		t.Errorf("%v, %s", err, rep.Benchmarks[0].Reason)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rig := &fakeRig{answer: func(n int, _ Trial) (Observation, error) {
		if n == 2 {
			cancel()
			return Observation{}, ctx.Err()
		}
		return result(1), nil
	}}
	rep, err := newRunner(t, rig).Run(ctx, []*Benchmark{declared(t, ""), declared(t, "")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if len(rep.Benchmarks) != 1 || len(rep.Benchmarks[0].Samples) != 2 || rep.Benchmarks[0].Reason != "interrupted" {
		t.Errorf("%+v", rep.Benchmarks)
	}
}

// TestObservation reads what PID 1 prints.
func TestObservation(t *testing.T) {
	trial := Trial{Script: "./p"}
	trial.Spec.Deterministic = true
	const head = "[    0.0] hello\r\nkernlab: pid1 62500 62500000\r\nkernlab: ready 125000 62500000\r\n"
	o := Observation{Console: head + "kernlab: begin\r\nBenchmarkA 1 2 ns/op\r\n\r\nkernlab: end 0\r\n"}
	if err := o.read(trial, &stamps{}, "log"); err != nil {
		t.Fatal(err)
	}
	if want := (Marks{PID1: time.Millisecond, Ready: 2 * time.Millisecond}); o.Marks != want {
		t.Errorf("marks %+v, want %+v", o.Marks, want)
	}
	if !strings.HasPrefix(o.Stdout, "BenchmarkA 1 2 ns/op\n") {
		t.Errorf("output %q", o.Stdout)
	}
	for _, tt := range []struct{ console, want string }{
		{head + "kernlab: begin\nboo\n\nkernlab: end 1\n", "exit code 1:\nboo"},
		{head + "kernlab: begin\n", "ended before its script did"},
		{"kernlab: begin\n\nkernlab: end 0\n", "did not reach PID 1"},
		{strings.Replace(head, "62500000", "0", 1) + "kernlab: begin\n\nkernlab: end 0\n", "PID 1 said"},
		{head + "kernlab: begin\n\nkernlab: end 4\n", "the script says it cannot measure here"},
	} {
		o := Observation{Console: tt.console}
		if err := o.read(trial, &stamps{}, "log"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %s", tt.console, err, tt.want)
		}
	}
}

// TestMachineOfBare: the bare rig's machine has nothing that waits for the host.
func TestMachineOfBare(t *testing.T) {
	b := declared(t, "rig: deterministic\nfiles: [../../t/bench/x]\n")
	r := newRunner(t, nil)
	j := &job{Benchmark: b, arch: arch.ARM64}
	spec := r.guest(j, Variant{Boot: []string{"quiet"}}, &kernel.Kernel{Arch: arch.ARM64, Dir: "k"})
	if !spec.Deterministic || spec.CPUs != 1 || spec.Machine != "virt" || !strings.HasSuffix(spec.Cmdline, "quiet") || !strings.Contains(spec.Cmdline, "kunit.enable=0") {
		t.Errorf("%+v", spec)
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("f"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec.Initramfs = file
	given := func(context.Context, *arch.Arch) (string, error) { return file, nil }
	m, release, err := (&Bare{Init: given}).spec(t.Context(), Trial{Bench: b, Arch: arch.ARM64, Spec: spec, Script: "x", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if len(m.Devices) != 1 || len(m.Initrd) != 2 || !strings.HasPrefix(m.Cmdline, "rdinit=/bench/init ") {
		t.Errorf("%+v", m)
	}
}
