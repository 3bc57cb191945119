package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/bring"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/lab"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/measure"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/payload"
)

func cores() int { return runtime.NumCPU() }

// defaultTimeout bounds one trial that says nothing else: wall time on an
// emulated machine.
const defaultTimeout = 5 * time.Minute

// prepare has everything made that the trials of a job need, and describes
// them in res. There is one trial a variant; rounds repeat it.
func (r *Runner) prepare(ctx context.Context, j *job, res *measure.Benchmark) (trials []Trial, _ func(), err error) {
	var releases []func()
	release := func() {
		for _, f := range releases {
			f()
		}
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	verdict, err := machine.Probe(ctx, r.Store, j.arch)
	if err != nil {
		return nil, nil, outcome.Errorf(outcome.Infra, "%w", err)
	}
	base, done, err := r.initramfs(ctx, j.arch)
	if err != nil {
		return nil, nil, outcome.Errorf(outcome.Infra, "%w", err)
	}
	releases = append(releases, done)
	if len(j.Machine.Packages) > 0 {
		// Every guest has this disk; here is where it is made, outside of what
		// is counted as the harness's time beside the guests.
		_, done, err := (&image.Maker{Store: r.Store, Repo: r.Root}).Disk(ctx, j.arch, j.Machine.Packages)
		if err != nil {
			return nil, nil, outcome.Errorf(outcome.Infra, "%w", err)
		}
		releases = append(releases, done)
	}
	for _, v := range j.variants {
		req := r.Kernel
		req.Arch = j.arch
		for _, o := range j.Kernel.Options {
			req.Options = append(slices.Clone(req.Options), string(o))
		}
		req = v.request(req)
		k, done, err := r.Kernels.Build(ctx, req)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: its kernel: %w", v.Name, err)
		}
		releases = append(releases, done)
		if err := j.lacks(v, req, k); err != nil {
			return nil, nil, err
		}
		spec := r.guest(j, v, k)
		accel := verdict.For(machine.Spec{Arch: j.arch, Deterministic: spec.Deterministic, NestedKVM: spec.NestedKVM}).Accel
		things, done, err := bring.Bring(ctx, r.Payload, req, k, bring.Things{
			Root: j.Dir(), Files: j.Files, Programs: j.Programs, Modules: j.Modules, Hotpatches: j.Hotpatches,
			Selftests: j.Selftests,
		})
		if err != nil {
			return nil, nil, err
		}
		releases = append(releases, done)
		spec.Files = things.Entries
		if v.Initramfs > 0 {
			spec.Files = append(spec.Files, ballast(v.Initramfs))
		}
		spec.Initramfs = base
		t := Trial{Bench: j.Benchmark, Variant: v, Arch: j.arch, Spec: spec, Accel: accel, Timeout: r.patient(time.Duration(j.Timeout))}
		if !j.Boot {
			t.Script = v.setup() + j.Run
		}
		trials = append(trials, t)
		res.Variants = append(res.Variants, measure.Variant{Name: v.Name, Kernel: k.Key, Release: k.Release, Cmdline: spec.Cmdline})
		if res.Machine == "" {
			res.Machine = describe(spec, accel)
		}
	}
	return trials, release, nil
}

func (r *Runner) patient(d time.Duration) time.Duration {
	if d == 0 {
		d = defaultTimeout
	}
	if r.Patience > 0 {
		d = time.Duration(float64(d) * r.Patience)
	}
	return d
}

// lacks returns why a benchmark cannot run on a kernel. What it needs must be
// in the kernel of the whole series; the others are compared because they
// lack it.
func (j *job) lacks(v Variant, req kernel.Request, k *kernel.Kernel) error {
	if req.Plain || len(req.Without) > 0 || v.Profile != "" {
		return nil
	}
	config, err := os.ReadFile(k.Config())
	if err != nil {
		return outcome.Errorf(outcome.Infra, "%w", err)
	}
	for _, o := range j.Kernel.Needs {
		if !o.Holds(string(config)) {
			return outcome.Errorf(outcome.Skip, "the kernel lacks %s", o)
		}
	}
	return nil
}

// guest returns a variant's guest, but for what is brought into it.
func (r *Runner) guest(j *job, v Variant, k *kernel.Kernel) lab.Spec {
	m := j.Machine
	s := lab.Spec{
		Arch: j.arch, Kernel: k.Image(), Store: r.Store, Repo: r.Root,
		Machine: m.Type, CPUs: m.CPUs, MemoryMiB: int(m.Memory),
		Packages: m.Packages, Network: m.Network, NestedKVM: m.KVM,
		Deterministic: j.rig() == measure.Deterministic,
		Timeout:       r.patient(time.Duration(m.BootTimeout)),
	}
	if v.Machine != "" {
		s.Machine = v.Machine
	}
	if s.Machine == "" {
		s.Machine = machine.DefaultMachine(j.arch)
	}
	if s.CPUs == 0 {
		s.CPUs = 2
		if s.Deterministic {
			s.CPUs = 1
		}
	}
	if s.MemoryMiB == 0 {
		s.MemoryMiB = 1024
	}
	s.Devices = m.Devices(s.CPUs, s.MemoryMiB)
	// KUnit's suites would run in every boot.
	line := []string{"oops=panic", "kunit.enable=0"}
	if m.Append != "" {
		line = append(line, m.Append)
	}
	s.Cmdline = strings.Join(append(line, v.Boot...), " ")
	return s
}

// describe says what a guest is, in words.
func describe(s lab.Spec, accel machine.Accel) string {
	plural := "s"
	if s.CPUs == 1 {
		plural = ""
	}
	text := fmt.Sprintf("%s, %d CPU%s, %d MiB, %s", s.Machine, s.CPUs, plural, s.MemoryMiB, accel)
	if s.Deterministic {
		text += " with icount"
	}
	if s.NestedKVM {
		text += ", KVM inside"
	}
	return text
}

// NewRigs returns the rigs that run QEMU.
func NewRigs(root string, pay *payload.Maker) Rigs {
	var mu sync.Mutex
	made := map[*arch.Arch]string{}
	pid1 := func(ctx context.Context, a *arch.Arch) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if path := made[a]; path != "" {
			return path, nil
		}
		// It is used to our end, so it is never released.
		path, _, err := pay.Program(ctx, a, filepath.Join(root, "tools", "internal", "bench", "rig", "init.c"))
		if err == nil {
			made[a] = path
		}
		return path, err
	}
	return Rigs{Bare: &Bare{Init: pid1}, Full: Full{}}
}
