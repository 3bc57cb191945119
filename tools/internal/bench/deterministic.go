package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/outcome"
)

// Marks are when a boot came how far. On the deterministic rig they are guest
// time since reset, which is instructions and waits; on the statistical rig
// wall time since QEMU was started.
type Marks struct {
	Start time.Duration // the first instruction; 0 on the deterministic rig
	PID1  time.Duration // PID 1's first instruction (the line it prints, on the statistical rig)
	Ready time.Duration // the kernel's file systems are mounted
}

// Bare runs trials on a machine that has nothing but a CPU, memory, a console
// and an initramfs with our own PID 1.
type Bare struct {
	// Init returns the file of PID 1 for an architecture.
	Init func(ctx context.Context, a *arch.Arch) (string, error)
}

// Run implements Rig.
func (r *Bare) Run(ctx context.Context, t Trial) (obs Observation, err error) {
	if err := os.MkdirAll(t.Dir, 0o755); err != nil {
		return obs, outcome.Errorf(outcome.Infra, "%w", err)
	}
	spec, release, err := r.spec(ctx, t)
	if err != nil {
		return obs, err
	}
	defer release()

	if t.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t.Timeout, errLate)
		defer cancel()
	}
	log := filepath.Join(t.Dir, "console.log")
	clock := &stamps{}
	clock.start = time.Now()
	m, err := machine.Start(ctx, spec, machine.Options{Dir: t.Dir, LogTo: log, OnLine: clock.line})
	if err != nil {
		return obs, outcome.Errorf(outcome.Infra, "%w", err)
	}
	defer m.Kill()
	line := machine.Binary(t.Arch) + " " + strings.Join(m.Args, " ") + "\n"
	_ = os.WriteFile(filepath.Join(t.Dir, "qemu.txt"), []byte(line), 0o644)
	if !spec.Deterministic {
		// QEMU answers when the machine is made, and waits: what comes after
		// that is the guest's time.
		if _, err := m.Execute("query-status", nil); err != nil {
			return obs, outcome.Errorf(outcome.Infra, "ask the machine whether it is made: %w", err)
		}
		obs.Marks.Start = time.Since(clock.start)
		if _, err := m.Execute("cont", nil); err != nil {
			return obs, outcome.Errorf(outcome.Infra, "start the machine: %w", err)
		}
	}
	<-m.Done()
	obs.Wall = time.Since(clock.start)
	data, rerr := os.ReadFile(log)
	obs.Console = string(data)
	switch {
	case errors.Is(context.Cause(ctx), errLate):
		return obs, late(t.Timeout, log)
	case ctx.Err() != nil:
		return obs, ctx.Err()
	case rerr != nil:
		return obs, outcome.Errorf(outcome.Infra, "%w", rerr)
	}
	if err := splatted(obs.Console, log); err != nil {
		return obs, err
	}
	if err := m.Err(); err != nil {
		return obs, outcome.Errorf(outcome.Infra, "%w", err)
	}
	return obs, obs.read(t, clock, log)
}

var errLate = errors.New("late")

// spec returns the machine of a trial.
func (r *Bare) spec(ctx context.Context, t Trial) (_ machine.Spec, release func(), err error) {
	s := machine.Spec{
		Arch: t.Arch, Machine: t.Spec.Machine, CPUs: t.Spec.CPUs, MemoryMiB: t.Spec.MemoryMiB,
		Kernel: t.Spec.Kernel, NestedKVM: t.Spec.NestedKVM, Deterministic: t.Spec.Deterministic,
		Accel:   t.Accel,
		Cmdline: strings.TrimSpace("rdinit=/bench/init " + t.Spec.Cmdline),
		Devices: append([]machine.Device{machine.Console{}}, t.Spec.Devices...),
	}
	if !s.Deterministic {
		s.Devices = append(s.Devices, machine.Paused{})
	}
	pid1, err := r.Init(ctx, t.Arch)
	if err != nil {
		return s, nil, err
	}
	entries := []image.Entry{{Path: "/bench/init", Mode: 0o755, Source: pid1}}
	if t.Script != "" {
		s.Initrd = append(s.Initrd, t.Spec.Initramfs)
		entries = append(entries, image.Entry{Path: "/bench/run", Mode: 0o644, Data: []byte(t.Script)})
	}
	extra := filepath.Join(t.Dir, "files.cpio")
	w, err := os.Create(extra)
	if err != nil {
		return s, nil, outcome.Errorf(outcome.Infra, "%w", err)
	}
	release = func() {
		_ = os.Remove(extra)
		_ = os.Remove(filepath.Join(t.Dir, "initrd"))
	}
	err = image.WriteCPIO(w, append(entries, t.Spec.Files...))
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return s, nil, outcome.Errorf(outcome.Infra, "make the initramfs: %w", err)
	}
	s.Initrd = append(s.Initrd, extra)
	return s, release, nil
}

// Lines of PID 1's (rig/init.c).
const (
	said       = "kernlab: "
	beginLine  = said + "begin"
	endLine    = said + "end "
	logLine    = said + "log"
	loggedLine = said + "logged"
)

// read takes apart what PID 1 printed.
func (o *Observation) read(t Trial, clock *stamps, log string) error {
	var script, kernel strings.Builder
	var into io.StringWriter
	code, ended := 0, t.Script == ""
	for _, l := range lines(o.Console) {
		switch {
		case l == beginLine:
			into = &script
		case strings.HasPrefix(l, endLine):
			into = nil
			code, _ = strconv.Atoi(strings.TrimPrefix(l, endLine))
			ended = true
		case l == logLine:
			into = &kernel
		case l == loggedLine:
			into = nil
		case into != nil:
			_, _ = into.WriteString(l + "\n")
		}
	}
	o.Stdout, o.Log = script.String(), kernel.String()
	if !ended {
		return outcome.Errorf(outcome.BootFail, "the guest ended before its script did; its console is in %s", log)
	}
	switch code {
	case 0:
	case skipCode:
		return outcome.Errorf(outcome.Skip, "the script says it cannot measure here; its words are in %s", log)
	default:
		return scriptFailed(code, o.Stdout)
	}
	if !t.Spec.Deterministic {
		o.Marks.PID1, o.Marks.Ready = clock.at("pid1"), clock.at("ready")
		return nil
	}
	var err error
	if o.Marks.PID1, err = ticked(o.Console, "pid1"); err != nil {
		return fmt.Errorf("%w; its console is in %s", err, log)
	}
	o.Marks.Ready, err = ticked(o.Console, "ready")
	return err
}

// ticked returns when PID 1 said something, by the guest's own counter.
func ticked(console, what string) (time.Duration, error) {
	for _, l := range lines(console) {
		rest, ok := strings.CutPrefix(l, said+what+" ")
		if !ok {
			continue
		}
		var ticks, hz uint64
		if _, err := fmt.Sscan(rest, &ticks, &hz); err != nil || hz == 0 {
			return 0, outcome.Errorf(outcome.Infra, "PID 1 said %q", l)
		}
		return time.Duration(float64(ticks) / float64(hz) * 1e9), nil
	}
	return 0, outcome.Errorf(outcome.BootFail, "the guest did not reach PID 1")
}

// stamps are when lines of PID 1 came.
type stamps struct {
	start time.Time
	mu    sync.Mutex
	when  map[string]time.Duration
}

func (s *stamps) line(l string) {
	rest, ok := strings.CutPrefix(l, said)
	if !ok {
		return
	}
	now := time.Since(s.start)
	what, _, _ := strings.Cut(rest, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.when == nil {
		s.when = map[string]time.Duration{}
	}
	if _, have := s.when[what]; !have {
		s.when[what] = now
	}
}

func (s *stamps) at(what string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.when[what]
}
