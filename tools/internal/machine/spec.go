package machine

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"strings"

	"cloudkernel/tools/internal/arch"
)

// Spec describes a machine. The zero value of an optional field is its default.
type Spec struct {
	Arch      *arch.Arch
	Machine   string // "virt" (arm64), "q35" (the default) or "microvm" (x86_64)
	CPUs      int    // default 2, or 1 if Deterministic
	MemoryMiB int    // default 1024
	CPUModel  string // as QEMU names it, such as "cortex-a53"; default: the one with every feature

	Kernel  string   // bootable image: Image or bzImage
	Initrd  []string // cpio archives, concatenated in this order
	Cmdline string   // added last to the kernel's command line, so that it wins
	Devices []Device

	// Accel is what runs the guest's instructions; Probe finds the best.
	Accel Accel
	// NestedKVM gives the guest virtualization extensions of its own.
	NestedKVM bool
	// Deterministic makes time an instruction count (one instruction is 1 ns)
	// and takes the host's randomness away, so that two runs are the same. It
	// needs TCG and one CPU.
	Deterministic bool
	// InstructionNs is how long an instruction takes on a deterministic
	// machine, in ns: a power of two up to MaxInstructionNs, default 1. A slow
	// CPU gets through more guest time in the same time of the host.
	InstructionNs int
}

// MaxInstructionNs is the longest that an instruction can take, in ns: 1 << 10
// is the largest shift that QEMU's -icount has.
const MaxInstructionNs = 1 << 10

// Accel is a QEMU accelerator.
type Accel string

// Accelerators.
const (
	KVM Accel = "kvm"
	TCG Accel = "tcg"
)

// nests reports whether guests of a can have virtual machines in them.
func (accel Accel) nests(a *arch.Arch) bool { return accel == TCG || a == arch.X86_64 }

// For returns the verdict for a machine like s: TCG runs what KVM cannot.
func (v Verdict) For(s Spec) Verdict {
	switch {
	case v.Accel == TCG:
	case s.Deterministic:
		return Verdict{TCG, "a deterministic machine counts instructions"}
	case s.CPUModel != "":
		return Verdict{TCG, fmt.Sprintf("KVM has the host's CPU, not a %s", s.CPUModel)}
	case s.NestedKVM && !v.Accel.nests(s.Arch):
		return Verdict{TCG, fmt.Sprintf("KVM cannot give a guest of %s virtualization of its own", s.Arch)}
	}
	return v
}

// board is what differs between the machines QEMU can be.
type board struct {
	arch     *arch.Arch
	options  []string // of -machine
	nested   []string // more of them, for NestedKVM
	bus      string   // suffix of virtio devices' names: "pci", or "device" for virtio-mmio
	cpu      string   // under TCG; KVM has "host"
	nestedTo string   // added to cpu for NestedKVM under TCG
	kernel   []string // kernel command line
	iommu    []string // arguments that give it one
	iommuOn  []string // and the kernel command line to use it
}

var boards = map[string]board{
	"virt": {
		arch: arch.ARM64, options: []string{"gic-version=3"}, nested: []string{"virtualization=on"}, bus: "device",
		// The architected pointer authentication algorithm costs TCG more
		// than everything else in a kernel function's prologue.
		cpu:    "max,pauth-impdef=on",
		kernel: []string{"earlycon"},
		iommu:  []string{"-machine", "iommu=smmuv3"},
	},
	"q35": {
		arch: arch.X86_64, bus: "pci", cpu: "max", nestedTo: ",+svm", kernel: kernelX86,
		iommu: []string{"-device", "intel-iommu"}, iommuOn: []string{"intel_iommu=on"},
	},
	// Without ACPI: with it Linux takes the machine for one that has none of
	// the PC's timers, finds that none of the others can be calibrated under
	// TCG, and stops.
	"microvm": {
		arch: arch.X86_64, options: []string{"acpi=off"}, bus: "device", cpu: "max", nestedTo: ",+svm", kernel: kernelX86,
	},
}

// kernelX86 is what Linux on a virtual PC is told: how to reset fast, and not
// to check its timers against each other. On a busy host they fail the checks.
var kernelX86 = []string{"earlycon=uart8250,io,0x3f8", "reboot=t", "no_timer_check", "tsc=nowatchdog"}

// DefaultMachine returns the machine that an architecture's guests have.
func DefaultMachine(a *arch.Arch) string {
	if a == arch.ARM64 {
		return "virt"
	}
	return "q35"
}

// Binary returns the name of the emulator of an architecture.
func Binary(a *arch.Arch) string { return "qemu-system-" + a.QEMU }

// commandLine is a QEMU command line in the making.
type commandLine struct {
	board board
	args  []string
	files []*os.File // that QEMU inherits, from descriptor 3 on
	ids   map[string]int
	exact bool // Spec.Deterministic
}

func (c *commandLine) add(args ...string) { c.args = append(c.args, args...) }

// fd returns the number that f will have in QEMU.
func (c *commandLine) fd(f *os.File) string {
	c.files = append(c.files, f)
	return strconv.Itoa(2 + len(c.files))
}

// id returns a name with this prefix that no other device has.
func (c *commandLine) id(prefix string) string {
	n := c.ids[prefix]
	c.ids[prefix]++
	return prefix + strconv.Itoa(n)
}

// virtio returns the name of a virtio device on this board's bus.
func (c *commandLine) virtio(device string) string {
	name := "virtio-" + device + "-" + c.board.bus
	if c.exact && c.board.bus == "pci" {
		// Handled by the CPU that rings, not by another thread some time.
		name += ",ioeventfd=off"
	}
	return name
}

// check returns s with its defaults, or what is wrong with it.
func (s Spec) check() (Spec, board, error) {
	if s.Arch == nil {
		return s, board{}, fmt.Errorf("machine: no architecture")
	}
	if s.Machine == "" {
		s.Machine = DefaultMachine(s.Arch)
	}
	b, ok := boards[s.Machine]
	if !ok || b.arch != s.Arch {
		return s, b, fmt.Errorf("machine %q is not one of %s: it has %s", s.Machine, s.Arch, strings.Join(Machines(s.Arch), ", "))
	}
	if s.Accel == "" {
		s.Accel = TCG
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
	if s.InstructionNs == 0 {
		s.InstructionNs = 1
	}
	switch n := s.InstructionNs; {
	case n < 0 || n > MaxInstructionNs || n&(n-1) != 0:
		return s, b, fmt.Errorf("%d ns an instruction: it is a power of two up to %d", n, MaxInstructionNs)
	case n > 1 && !s.Deterministic:
		return s, b, errors.New("only a deterministic machine counts instructions")
	case s.CPUs < 0 || s.CPUs > 512:
		return s, b, fmt.Errorf("%d CPUs: a machine has 1 to 512", s.CPUs)
	case s.MemoryMiB < 32:
		return s, b, fmt.Errorf("%d MiB of memory: Linux needs 32 at least", s.MemoryMiB)
	case s.Deterministic && s.CPUs != 1:
		return s, b, fmt.Errorf("a deterministic machine has one CPU, not %d", s.CPUs)
	case s.NestedKVM && !s.Accel.nests(s.Arch):
		return s, b, fmt.Errorf("%s cannot give a guest of %s virtualization of its own; TCG can", s.Accel, s.Arch)
	case s.CPUModel != "" && s.Accel != TCG:
		return s, b, fmt.Errorf("%s has the host's CPU, not a %s; TCG can", s.Accel, s.CPUModel)
	case s.Deterministic && s.Accel != TCG:
		return s, b, fmt.Errorf("a deterministic machine runs under TCG, not %s", s.Accel)
	}
	return s, b, nil
}

// Machines lists the machines of an architecture, its default first.
func Machines(a *arch.Arch) []string {
	list := []string{DefaultMachine(a)}
	for _, name := range []string{"virt", "q35", "microvm"} {
		if boards[name].arch == a && name != list[0] {
			list = append(list, name)
		}
	}
	return list
}

// build returns QEMU's arguments, but for the QMP connection, and the files
// they refer to. initrd is the one file that Initrd was made into.
func (s Spec) build(initrd string) (*commandLine, error) {
	s, b, err := s.check()
	if err != nil {
		return nil, err
	}
	c := &commandLine{board: b, ids: map[string]int{}, exact: s.Deterministic}
	machine := append([]string{s.Machine}, b.options...)
	cpu := b.cpu
	if s.CPUModel != "" {
		cpu = s.CPUModel
	}
	if s.NestedKVM {
		machine = append(machine, b.nested...)
		cpu += b.nestedTo
	}
	if s.Deterministic && s.Machine == "virt" {
		machine = append(machine, "dtb-randomness=off")
	}
	if s.Accel == KVM {
		cpu = "host"
	}
	c.add("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", strings.Join(machine, ","), "-cpu", cpu)
	switch {
	case s.Accel == KVM:
		c.add("-accel", "kvm")
	case s.Deterministic:
		shift := bits.TrailingZeros(uint(s.InstructionNs))
		c.add("-accel", "tcg", "-icount", fmt.Sprintf("shift=%d,sleep=off", shift),
			"-rtc", "clock=vm,base=2024-01-01", "-seed", "1") // of what the CPU's random number instructions return
	case Threads(s.Arch, s.Accel, s.CPUs) == 1:
		c.add("-accel", "tcg,thread=single")
	default:
		c.add("-accel", "tcg,thread=multi")
	}
	c.add("-smp", strconv.Itoa(s.CPUs), "-m", strconv.Itoa(s.MemoryMiB)+"M")

	kernel := append([]string(nil), b.kernel...)
	// A panic ends the machine, through -no-reboot. Warnings are printed,
	// what is merely said is not: a serial port is slow, most of all emulated.
	kernel = append(kernel, "panic=-1", "loglevel=5")
	if s.Deterministic {
		kernel = append(kernel, "nokaslr")
	}
	for _, d := range s.Devices {
		kernel = append(kernel, d.arguments(c)...)
	}
	if s.Cmdline != "" {
		kernel = append(kernel, s.Cmdline)
	}
	if s.Kernel != "" {
		c.add("-kernel", s.Kernel, "-append", strings.Join(kernel, " "))
	}
	if initrd != "" {
		c.add("-initrd", initrd)
	}
	return c, nil
}

// escape doubles the commas of a value within a QEMU option.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// Threads returns how many threads of the host run a guest's CPUs. Emulated
// x86_64 has one for all: with a thread a CPU, one of them may go on with an
// int3 that another has already replaced, and static keys and kprobes end in
// an oops.
func Threads(a *arch.Arch, accel Accel, cpus int) int {
	if a == arch.X86_64 && accel != KVM {
		return 1
	}
	return cpus
}
