package cases

import (
	"path/filepath"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/splat"
)

// Case is one case. The fields without a key are not in the file.
type Case struct {
	Name  string `yaml:"-"` // topic/case
	Topic string `yaml:"-"`
	Path  string `yaml:"-"` // of the file

	Summary string `yaml:"summary"`
	Feature string `yaml:"feature"`
	Tags    []Word `yaml:"tags"`

	Machine Machine  `yaml:"machine"`
	Kernel  Kernel   `yaml:"kernel"`
	Timeout Duration `yaml:"timeout"`
	Shared  bool     `yaml:"shared"`

	Files    []string `yaml:"files"`
	Programs []string `yaml:"programs"`
	Modules  []string `yaml:"modules"`

	Hotpatches []Hotpatch `yaml:"hotpatches"`
	BootImage  bool       `yaml:"boot-image"` // the kernel itself, for kexec

	Steps     []Step        `yaml:"steps"`
	Selftests []SelftestRef `yaml:"selftests"`
	KUnit     []Word        `yaml:"kunit"`

	Expect Expect `yaml:"expect"`
}

// Dir returns the directory the case's own files are in.
func (c *Case) Dir() string { return filepath.Dir(c.Path) }

// Machine is the machine a case needs.
type Machine struct {
	Arch          []Arch   `yaml:"arch"` // default: all
	Type          string   `yaml:"type"` // QEMU machine; default: the architecture's
	CPUs          int      `yaml:"cpus"`
	CPUModel      CPU      `yaml:"cpu-model"` // as QEMU names it; default: the one with every feature
	Memory        Size     `yaml:"memory"`
	Packages      []string `yaml:"packages"`
	KVM           bool     `yaml:"kvm"`
	Network       bool     `yaml:"network"`
	Deterministic bool     `yaml:"deterministic"`
	InstructionNs int      `yaml:"instruction-ns"` // how long each takes; default 1
	DMA           bool     `yaml:"dma"`            // a device that copies memory, behind an IOMMU
	Nodes         int      `yaml:"nodes"`          // of NUMA, which share CPUs and memory; 0 for a machine that has no NUMA
	Append        string   `yaml:"append"`
	BootTimeout   Duration `yaml:"boot-timeout"`
}

// Devices returns what the machine has beside what every guest has. cpus and
// memory, in MiB, are all that it has, with the defaults of who asks.
func (m Machine) Devices(cpus, memory int) []machine.Device {
	var list []machine.Device
	if m.DMA {
		list = append(list, machine.DMA{})
	}
	if m.Nodes > 0 {
		list = append(list, machine.Nodes{Count: m.Nodes, CPUs: cpus, MemoryMiB: memory})
	}
	return list
}

// Kernel is the kernel a case needs.
type Kernel struct {
	Needs    []Option `yaml:"needs"`   // must be in the configuration, else the case is skipped
	Options  []Option `yaml:"options"` // make a kernel of its own
	Profiles []Word   `yaml:"profiles"`
}

// Hotpatch is a livepatch module made from source patches for the case's
// kernel.
type Hotpatch struct {
	Name    Word     `yaml:"name"` // of the module
	Patches []string `yaml:"patches"`
	Replace bool     `yaml:"replace"` // it takes the place of those before it
}

// Step is something that runs in the guest.
type Step struct {
	Name    string   `yaml:"name"`
	Run     string   `yaml:"run"`
	User    int      `yaml:"user"`
	Timeout Duration `yaml:"timeout"`
	// Monitor is what QEMU's monitor is told before Run starts, a command each.
	Monitor []string `yaml:"monitor"`

	Exit   *int   `yaml:"exit"` // default 0
	Stdout *Match `yaml:"stdout"`
	Stderr *Match `yaml:"stderr"`
	Dmesg  *Match `yaml:"dmesg"`
	KTAP   bool   `yaml:"ktap"`
}

// WantExit returns the exit code that the step must have.
func (s *Step) WantExit() int {
	if s.Exit == nil {
		return 0
	}
	return *s.Exit
}

// Expect is what must come out for the case to pass, where that is not a guest
// without complaints: the laboratory's tests of itself, and tests of faults.
type Expect struct {
	Outcome Outcome `yaml:"outcome"` // default pass
	Reason  Regexp  `yaml:"reason"`
	Splats  []Splat `yaml:"splats"` // each must appear, unless it is optional, and is not held against the case
	Console *Match  `yaml:"console"`
	// After is how long the machine may go on when the kernel of the guest's
	// agent is gone, because another one has taken over.
	After Duration `yaml:"after"`
}

// Splat is a splat that must appear.
type Splat struct {
	Kind    Kind   `yaml:"kind"`
	Title   Regexp `yaml:"title"`   // of the whole title
	Decoded Regexp `yaml:"decoded"` // of some part of the decoded text
	// Optional says that it need not come.
	Optional bool `yaml:"optional"`
}

// Matches reports whether a splat of this kind and title is the one meant.
func (s Splat) Matches(kind splat.Kind, title string) bool {
	return (s.Kind == "" || splat.Kind(s.Kind) == kind) && s.Title.Whole(title)
}

// DefaultTimeout bounds the work in the guest of a case that says nothing
// else. It is wall time on an emulated machine with the default kernel.
const DefaultTimeout = 60 * time.Second

// On reports whether the case runs on an architecture.
func (c *Case) On(a *arch.Arch) bool {
	if len(c.Machine.Arch) == 0 {
		return true
	}
	for _, have := range c.Machine.Arch {
		if have.Arch == a {
			return true
		}
	}
	return false
}

// Request returns the kernel that the case runs on, given what the command
// asks of all.
func (c *Case) Request(all kernel.Request) kernel.Request {
	for _, o := range c.Kernel.Options {
		all.Options = append(all.Options[:len(all.Options):len(all.Options)], string(o))
	}
	return all
}

// Want returns the outcome that makes the case pass.
func (c *Case) Want() outcome.Outcome {
	if c.Expect.Outcome == "" {
		return outcome.Pass
	}
	return outcome.Outcome(c.Expect.Outcome)
}
