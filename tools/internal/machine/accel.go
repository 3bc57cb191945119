package machine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/proc"
	"cloudkernel/tools/internal/store"
)

// Verdict is which accelerator runs guests of an architecture here, and why.
type Verdict struct {
	Accel Accel  `json:"accel"`
	Why   string `json:"why"` // empty for KVM
}

// String says it in one line, with what it costs.
func (v Verdict) String() string {
	if v.Accel == KVM {
		return "KVM runs the guest"
	}
	return "TCG emulates the guest, some 10 to 50 times slower than KVM: " + v.Why
}

// probeTimeout is how long the tiny guest may take under TCG.
const probeTimeout = 20 * time.Second

// Probe finds the accelerator for guests of a. KVM is taken only when a tiny
// guest really ran, and no slower than under TCG; that verdict is kept in st, for this boot
// of the host and this QEMU.
func Probe(ctx context.Context, st *store.Store, a *arch.Arch) (Verdict, error) {
	p := probes[a]
	if a.GOARCH != runtime.GOARCH {
		return Verdict{TCG, fmt.Sprintf("this machine is not %s", a)}, nil
	}
	// Access is not part of what is remembered: it can change at any time.
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Verdict{TCG, "there is no /dev/kvm here"}, nil
	case err != nil:
		return Verdict{TCG, fmt.Sprintf("%v; add yourself to the group that owns it", err)}, nil
	}
	_ = f.Close()

	version, err := Version(ctx, a)
	if err != nil {
		return Verdict{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Verdict{}, err
	}
	sum := sha256.Sum256(p.image) // another trial may come to another verdict
	key := a.Name + "-" + hex.EncodeToString(sum[:4]) + "-" + strings.TrimSpace(string(boot)) + "-" + keyPart(version)
	dir, release, err := st.Get(ctx, "accel", key, nil, func(dir string) error {
		v := p.try(ctx, a, dir)
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "verdict.json"), data, 0o644)
	})
	if err != nil {
		return Verdict{}, err
	}
	defer release()
	data, err := os.ReadFile(filepath.Join(dir, "verdict.json"))
	if err != nil {
		return Verdict{}, err
	}
	var v Verdict
	if err := json.Unmarshal(data, &v); err != nil {
		return Verdict{}, fmt.Errorf("%s: %w", dir, err)
	}
	return v, nil
}

// try runs the probe with KVM, and with TCG to compare. A KVM that is itself
// emulated, as on a rented machine without nested virtualization, may run a
// guest and yet be many times slower than TCG: it is of no use.
func (p probe) try(ctx context.Context, a *arch.Arch, dir string) Verdict {
	tcg, err := p.run(ctx, a, TCG, dir, probeTimeout)
	if err != nil {
		return Verdict{TCG, "the trial of KVM failed: " + err.Error()}
	}
	limit := 3*tcg + time.Second
	_, err = p.run(ctx, a, KVM, dir, limit)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Verdict{TCG, fmt.Sprintf("/dev/kvm is here, but a tiny guest did not run to its end in %.1f s; TCG takes %.1f s", limit.Seconds(), tcg.Seconds())}
	case err != nil:
		return Verdict{TCG, "/dev/kvm is here, but runs no guest: " + err.Error()}
	}
	return Verdict{Accel: KVM}
}

// run runs the probe and returns how long it took.
func (p probe) run(ctx context.Context, a *arch.Arch, accel Accel, dir string, limit time.Duration) (time.Duration, error) {
	path := filepath.Join(dir, "probe.bin")
	image := append(make([]byte, 0, p.size), p.image...)
	if err := os.WriteFile(path, image[:max(p.size, len(image))], 0o644); err != nil {
		return 0, err
	}
	spec := Spec{Arch: a, Machine: p.machine, CPUs: 1, MemoryMiB: 64, Accel: accel, Devices: p.devices}
	c, err := spec.build("")
	if err != nil {
		return 0, err
	}
	c.add(p.option, path)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := proc.Command(ctx, Binary(a), c.args...)
	stderr := &bounded{max: 4096}
	cmd.Stderr = stderr
	began := time.Now()
	err = cmd.Run()
	took := time.Since(began)
	switch {
	case ctx.Err() != nil:
		return took, ctx.Err()
	case cmd.ProcessState != nil && cmd.ProcessState.Exited() && cmd.ProcessState.ExitCode() == p.status:
		return took, nil
	}
	why, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
	return took, fmt.Errorf("%s (%v)", why, err)
}

// Version returns the first line of qemu-system-* --version.
func Version(ctx context.Context, a *arch.Arch) (string, error) {
	out, err := proc.Command(ctx, Binary(a), "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%w: %s is not in PATH; 'kernlab doctor' says how to get it", ErrNoQEMU, Binary(a))
	}
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", Binary(a), err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, nil
}

// keyPart makes s fit for a key of the store.
func keyPart(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '+' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
}
