package doctor

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudkernel/tools/internal/arch"
)

// State says how a need is met.
type State string

const (
	OK      State = "ok"
	Missing State = "missing"
	Old     State = "old"    // there, but before the least version
	Broken  State = "broken" // there, and does not work
)

// Group is the kind of thing a finding is about.
type Group string

const (
	Tool    Group = "tool"
	Library Group = "library"
	Machine Group = "machine"
)

// Finding is what Check found out about one need.
type Finding struct {
	Name     string   `json:"name"`
	Group    Group    `json:"group"`
	State    State    `json:"state"`
	Found    string   `json:"found,omitempty"` // version or figure
	Want     string   `json:"want,omitempty"`  // least version or figure
	Uses     []Use    `json:"uses"`            // of those asked for
	Optional bool     `json:"optional,omitempty"`
	Why      string   `json:"why"`
	Packages []string `json:"packages,omitempty"` // Debian packages that bring it
	Fix      string   `json:"fix,omitempty"`      // what to do, when it is not ok
}

// Verdict says whether the machine can do one use.
type Verdict struct {
	Use   Use      `json:"use"`
	Title string   `json:"title"`
	OK    bool     `json:"ok"`
	Lacks []string `json:"lacks,omitempty"` // names of findings
}

// Report is what Check found out.
type Report struct {
	Findings []Finding `json:"findings"`
	Verdicts []Verdict `json:"uses"`
	Install  []string  `json:"install,omitempty"` // packages that are lacking, sorted
}

// OK reports whether every use that was asked for can be done.
func (r *Report) OK() bool {
	return !slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return !v.OK })
}

// Options say what to look at.
type Options struct {
	Uses        []Use       // nil: DefaultUses
	CacheDir    string      // where kernels and sources will be kept
	Accelerator Accelerator // nil: not asked
	Root        string      // where /proc, /sys and /var are; "" is /
}

func (o *Options) root() string {
	if o.Root == "" {
		return "/"
	}
	return o.Root
}

// probeTimeout is far more than any probe of a tool takes; it bounds one that
// waits for something.
const probeTimeout = 20 * time.Second

// Check looks at the machine. Its error is only the context's.
func Check(ctx context.Context, opt Options) (*Report, error) {
	asked := opt.Uses
	if asked == nil {
		asked = DefaultUses()
	}
	wanted := func(us []Use) []Use {
		return slices.DeleteFunc(slices.Clone(us), func(u Use) bool { return !slices.Contains(asked, u) })
	}

	var jobs []func(context.Context) Finding
	for _, n := range needs(runtime.GOARCH) {
		if n.uses = wanted(n.uses); len(n.uses) > 0 {
			jobs = append(jobs, n.find)
		}
	}
	jobs = append(jobs,
		func(context.Context) Finding { return disk(opt.CacheDir) },
		func(context.Context) Finding { return memory(opt.root()) },
		func(context.Context) Finding { return locks(opt.CacheDir) })
	for _, a := range arch.All {
		if opt.Accelerator != nil && slices.Contains(asked, Use("boot-"+a.Name)) {
			jobs = append(jobs, func(ctx context.Context) Finding { return accelerator(ctx, a, opt.Accelerator) })
		}
	}
	if haveApt() {
		jobs = append(jobs, func(ctx context.Context) Finding { return foreign(ctx, opt.root()) })
	}

	findings := make([]Finding, len(jobs))
	var g errgroup.Group
	g.SetLimit(4)
	for i, job := range jobs {
		g.Go(func() error {
			findings[i] = job(ctx)
			if findings[i].State == "" {
				findings[i].State = OK
			}
			findings[i].Uses = wanted(findings[i].Uses)
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return conclude(findings, asked), nil
}

// find looks for the need.
func (n need) find(ctx context.Context) Finding {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	f := Finding{Name: n.name, Group: Library, State: OK, Want: n.min, Uses: n.uses,
		Optional: n.optional, Why: n.why, Packages: n.packages}
	if _, ok := n.probe.(program); ok {
		f.Group = Tool
	}
	version, err := n.probe.look(ctx, n.name)
	f.Found = version
	switch {
	case errors.Is(err, errMissing):
		f.State = Missing
	case err != nil:
		f.State, f.Found = Broken, err.Error()
	case n.min != "" && older(version, n.min):
		f.State = Old
	}
	if f.State == OK {
		return f
	}
	f.Fix = n.fix
	if len(n.packages) > 0 {
		f.Fix = fixPackages(n.name, n.packages, f.State)
	}
	return f
}

// conclude judges each use by the findings it cannot do without, and gathers
// the packages that are lacking.
func conclude(findings []Finding, asked []Use) *Report {
	r := &Report{Findings: findings}
	for _, u := range uses {
		if !slices.Contains(asked, u.use) {
			continue
		}
		v := Verdict{Use: u.use, Title: u.title, OK: true}
		for _, f := range findings {
			if f.State != OK && !f.Optional && slices.Contains(f.Uses, u.use) {
				v.OK = false
				v.Lacks = append(v.Lacks, f.Name)
			}
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	for _, f := range findings {
		if f.State == Missing || f.State == Broken {
			r.Install = append(r.Install, f.Packages...)
		}
	}
	slices.Sort(r.Install)
	r.Install = slices.Compact(r.Install)
	return r
}

// fixPackages returns the command that brings a need here, or words where apt
// is not at home.
func fixPackages(name string, packages []string, s State) string {
	list := strings.Join(packages, " ")
	if !haveApt() {
		return "install " + name + " by your distribution's means (Debian's package: " + list + ")"
	}
	if s == Old {
		return "upgrade to a newer Debian, or put a newer " + name + " first in PATH"
	}
	return aptCommand(packages)
}
