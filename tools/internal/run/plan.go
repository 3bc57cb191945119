package run

import (
	"fmt"
	"slices"
	"strings"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/lab"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// unit is one case on one architecture, once.
type unit struct {
	c    *cases.Case
	arch *arch.Arch
	rep  int // from 0
	res  result.Case
	done bool // res is judged
}

// job is one guest, and the units that run in it.
type job struct {
	units  []*unit
	req    kernel.Request
	cpus   int
	memory int // MiB
	// threads of the host run the CPUs: fewer where one thread has them all.
	threads int
}

// Defaults of a guest.
const (
	defaultCPUs   = 2
	defaultMemory = 1024 // MiB
)

// units returns what is to run, in the order it is reported in.
func (r *Runner) units() []*unit {
	type pair struct {
		c *cases.Case
		a *arch.Arch
	}
	var pairs []pair
	for _, a := range r.Arches {
		for _, c := range r.Cases {
			if c.On(a) {
				pairs = append(pairs, pair{c, a})
			}
		}
	}
	var list []*unit
	for i, p := range pairs {
		if !r.Shard.Has(i) {
			continue
		}
		for rep := range max(r.Repeat, 1) {
			u := &unit{c: p.c, arch: p.a, rep: rep}
			u.res = result.Case{
				Name: p.c.Name, Summary: p.c.Summary, Feature: p.c.Feature,
				Arch: p.a.Name, Profile: r.profile(), Repro: r.repro(p.c, p.a),
			}
			list = append(list, u)
		}
	}
	return list
}

func (r *Runner) profile() string {
	if r.Kernel.Profile == "" {
		return kernel.DefaultProfile
	}
	return r.Kernel.Profile
}

// repro returns the command that runs a case alone, as it runs here.
func (r *Runner) repro(c *cases.Case, a *arch.Arch) string {
	s := fmt.Sprintf("kernlab test %s --arch %s", c.Name, a)
	if p := r.profile(); p != kernel.DefaultProfile {
		s += " --profile " + p
	}
	for _, t := range r.Kernel.Without {
		s += " --without " + t
	}
	if r.Kernel.Plain {
		s += " --plain"
	}
	for _, o := range r.Kernel.Options {
		s += " --option " + o
	}
	return s
}

// request returns the kernel of a unit.
func (r *Runner) request(u *unit) kernel.Request {
	req := r.Kernel
	req.Arch = u.arch
	return u.c.Request(req)
}

// jobs puts units that may share a guest together, and each other one into a
// guest of its own. Repetitions never share: they are to be independent.
func (r *Runner) jobs(units []*unit) []*job {
	var list []*job
	shared := map[string]*job{}
	for _, u := range units {
		req := r.request(u)
		m := u.c.Machine
		key := fmt.Sprint(req, "|", u.rep, "|", m.Type, m.CPUs, m.CPUModel, m.Memory, m.Packages, m.KVM, m.Network, m.Deterministic, m.InstructionNs, m.DMA, m.Nodes, "|", m.Append)
		if j := shared[key]; j != nil && u.c.Shared {
			j.units = append(j.units, u)
			continue
		}
		j := newJob(req, u)
		if u.c.Shared {
			shared[key] = j
		}
		list = append(list, j)
	}
	return list
}

func newJob(req kernel.Request, units ...*unit) *job {
	m := units[0].c.Machine
	j := &job{units: units, req: req, cpus: m.CPUs, memory: int(m.Memory)}
	if j.cpus == 0 {
		j.cpus = defaultCPUs
		if m.Deterministic {
			j.cpus = 1
		}
	}
	if j.memory == 0 {
		j.memory = defaultMemory
	}
	return j
}

// spec returns the guest of a job, but for what is brought into it.
func (r *Runner) spec(j *job, k *kernel.Kernel) lab.Spec {
	m := j.units[0].c.Machine
	s := lab.Spec{
		Arch: j.req.Arch, Kernel: k.Image(), Store: r.Store, Repo: r.Root,
		Machine: m.Type, CPUs: j.cpus, CPUModel: string(m.CPUModel), MemoryMiB: j.memory,
		Packages: m.Packages, Network: m.Network, NestedKVM: m.KVM, Deterministic: m.Deterministic, InstructionNs: m.InstructionNs,
		Heartbeat: beat, Devices: m.Devices(j.cpus, j.memory),
	}
	// An oops ends the kernel: what a crippled one says afterwards is worth
	// less than the minutes until its silence is noticed.
	line := []string{"oops=panic"}
	if j.req.Arch == arch.X86_64 {
		line = append(line, "unknown_nmi_panic")
	}
	line = append(line, kunitCmdline(j)...)
	if m.Append != "" {
		line = append(line, m.Append)
	}
	s.Cmdline = strings.Join(line, " ")
	s.Timeout = r.patient(m.BootTimeout, lab.DefaultTimeout, j.req)
	return s
}

// lacks returns why a case cannot be judged on a kernel, or "".
func lacks(u *unit, req kernel.Request, config string) string {
	if slices.Contains(req.Without, u.c.Topic) {
		return "the kernel is built without " + u.c.Topic
	}
	if p := u.c.Kernel.Profiles; len(p) > 0 && !slices.Contains(p, cases.Word(u.res.Profile)) {
		return fmt.Sprintf("it is for the profile %s", join(p))
	}
	for _, o := range u.c.Kernel.Needs {
		if !o.Holds(config) {
			return fmt.Sprintf("the kernel lacks %s", o)
		}
	}
	return ""
}

func join(words []cases.Word) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return strings.Join(list, " or ")
}

// skip judges a unit that does not run.
func (u *unit) skip(why string) {
	u.res.Outcome, u.res.Reason, u.done = outcome.Skip, why, true
}
