package bench

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/measure"
	"cloudkernel/tools/internal/payload"
	"cloudkernel/tools/internal/proc"
	"cloudkernel/tools/internal/store"
)

// BenchmarkHarness measures what a rig adds to the guest: the same trial on the
// deterministic rig, from the call to its results, and as a bare QEMU command
// line with its output in a file, in turn. overhead-% is the difference in wall
// time with the bounds of its interval; cpu-overhead-% the same of the
// processor time of QEMU, which another load on the machine changes less.
//
//	CLOUDKERNEL_TEST_KERNEL_ARM64=Image go test -run '^$' -bench Harness -benchtime 10x ./tools/internal/bench
func BenchmarkHarness(b *testing.B) {
	image := os.Getenv("CLOUDKERNEL_TEST_KERNEL_ARM64")
	if image == "" {
		b.Skip("set CLOUDKERNEL_TEST_KERNEL_ARM64 to a kernel image")
	}
	ctx := b.Context()
	rig, trial := harnessTrial(b, ctx, image)
	spec, release, err := rig.spec(ctx, trial)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(release)
	args := bareArgs(b, ctx, spec, trial.Dir)

	var bare, ours, bareCPU, oursCPU []float64

	for b.Loop() {
		began, cpu := time.Now(), childrenTime(b)
		out, err := os.Create(filepath.Join(trial.Dir, "bare.log"))
		if err != nil {
			b.Fatal(err)
		}
		cmd := proc.Command(ctx, machine.Binary(trial.Arch), args...)
		cmd.Stdout = out
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		out.Close()
		bare, bareCPU = append(bare, time.Since(began).Seconds()), append(bareCPU, childrenTime(b)-cpu)

		t := trial
		t.Dir = filepath.Join(trial.Dir, "run")
		began, cpu = time.Now(), childrenTime(b)
		obs, err := rig.Run(ctx, t)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := measure.Parse(obs.Stdout); err != nil {
			b.Fatal(err)
		}
		ours, oursCPU = append(ours, time.Since(began).Seconds()), append(oursCPU, childrenTime(b)-cpu)

	}
	b.ReportMetric(0, "ns/op")
	report := func(name string, a, c []float64) {
		sorted := slices.Sorted(slices.Values(a))
		middle := sorted[len(sorted)/2]
		shift, lo, hi := measure.Interval(a, c)
		b.ReportMetric(100*shift/middle, name+"overhead-%")
		b.ReportMetric(100*lo/middle, name+"low-%")
		b.ReportMetric(100*hi/middle, name+"high-%")
		b.ReportMetric(middle, name+"bare-s")
	}
	report("", bare, ours)
	report("cpu-", bareCPU, oursCPU)
}

// harnessTrial is a trial that computes for a while.
func harnessTrial(b *testing.B, ctx context.Context, kernel string) (*Bare, Trial) {
	dir, err := store.DefaultDir()
	if err != nil {
		b.Fatal(err)
	}
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		b.Fatal(err)
	}
	st := store.Open(dir)
	pay := &payload.Maker{Store: st, Root: root}
	base, release, err := (&image.Maker{Store: st, Repo: root}).Initramfs(ctx, arch.ARM64)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(release)
	rig := NewRigs(root, pay).Bare.(*Bare)
	t := Trial{Bench: &Benchmark{}, Arch: arch.ARM64, Accel: machine.TCG, Dir: b.TempDir(),
		Script: "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; echo BenchmarkLoop 1 $i loops\n"}
	t.Spec.Arch, t.Spec.Kernel, t.Spec.Initramfs = arch.ARM64, kernel, base
	t.Spec.CPUs, t.Spec.Deterministic, t.Spec.Cmdline = 1, true, "kunit.enable=0"
	t.Spec.Files = []image.Entry{{Path: caseDir, Mode: os.ModeDir | 0o777}}
	return rig, t
}

// bareArgs returns QEMU's arguments for a machine, without the connection that
// we control it by.
func bareArgs(b *testing.B, ctx context.Context, spec machine.Spec, dir string) []string {
	m, err := machine.Start(ctx, spec, machine.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Kill()
	args := slices.Clone(m.Args)
	for i := len(args) - 2; i >= 0; i-- {
		if args[i] == "-mon" || args[i] == "-chardev" && strings.Contains(args[i+1], "id=qmp") {
			args = slices.Delete(args, i, i+2)
		}
	}
	return args
}

// childrenTime returns the processor time, in seconds, of all processes that
// we started and that ended.
func childrenTime(b *testing.B) float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
