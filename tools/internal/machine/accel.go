package machine

import (
	"context"
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

// probeTimeout is how long a guest of a few instructions may take under KVM.
const probeTimeout = 10 * time.Second

// Probe finds the accelerator for guests of a. KVM is taken only when a guest
// of a few instructions really ran; that verdict is kept in st, for this boot
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

	version, err := emulatorVersion(ctx, a)
	if err != nil {
		return Verdict{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Verdict{}, err
	}
	key := a.Name + "-" + strings.TrimSpace(string(boot)) + "-" + keyPart(version)
	dir, release, err := st.Get(ctx, "accel", key, nil, func(dir string) error {
		v := p.run(ctx, a, dir)
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

// probe is a guest of a few instructions that proves it ran by how QEMU ends.
type probe struct {
	machine  string
	firmware []byte // at the reset vector's end, or beginning
	atEnd    bool
	size     int // of the firmware image, bytes
	devices  []Device
	status   int // of QEMU, when the guest ran
}

var probes = map[*arch.Arch]probe{
	arch.X86_64: {
		// Real mode at 0xfffffff0, the last 16 bytes of the firmware:
		//	mov $0x2a, %al; out %al, $0xf4; hlt
		machine: "q35", firmware: []byte{0xb0, 0x2a, 0xe6, 0xf4, 0xf4}, atEnd: true, size: 64 << 10,
		devices: []Device{Exit{}}, status: 2*0x2a + 1,
	},
	arch.ARM64: {
		// At 0, the flash: movz w0, #8; movk w0, #0x8400, lsl #16; hvc #0,
		// which is PSCI's SYSTEM_OFF. A reset would end QEMU with 0 too, but
		// only an instruction that ran can cause one.
		machine: "virt", firmware: []byte{
			0x00, 0x01, 0x80, 0x52,
			0x00, 0x80, 0xb0, 0x72,
			0x02, 0x00, 0x00, 0xd4,
		}, size: 64 << 10, status: 0,
	},
}

// run runs the probe with KVM.
func (p probe) run(ctx context.Context, a *arch.Arch, dir string) Verdict {
	image := make([]byte, p.size)
	if p.atEnd {
		copy(image[p.size-16:], p.firmware)
	} else {
		copy(image, p.firmware)
	}
	path := filepath.Join(dir, "probe.bin")
	if err := os.WriteFile(path, image, 0o644); err != nil {
		return Verdict{TCG, err.Error()}
	}
	spec := Spec{Arch: a, Machine: p.machine, CPUs: 1, MemoryMiB: 64, Accel: KVM, Devices: p.devices}
	c, err := spec.build("")
	if err != nil {
		return Verdict{TCG, err.Error()}
	}
	c.add("-bios", path)
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := proc.Command(ctx, Binary(a), c.args...)
	stderr := &bounded{max: 4096}
	cmd.Stderr = stderr
	err = cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.Exited() && cmd.ProcessState.ExitCode() == p.status && ctx.Err() == nil {
		return Verdict{Accel: KVM}
	}
	why := strings.TrimSpace(stderr.String())
	if line, _, ok := strings.Cut(why, "\n"); ok {
		why = line
	}
	switch {
	case ctx.Err() != nil:
		why = fmt.Sprintf("a guest of 3 instructions did not end in %s", probeTimeout)
	case why == "":
		why = fmt.Sprint(err)
	}
	return Verdict{TCG, "/dev/kvm is here, but runs no guest: " + why}
}

// emulatorVersion returns the first line of qemu-system-* --version.
func emulatorVersion(ctx context.Context, a *arch.Arch) (string, error) {
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
