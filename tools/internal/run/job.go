package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"cloudkernel/tools/internal/bring"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/lab"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// session is a job from when its guest is made ready until it is gone.
type session struct {
	Guest
	r       *Runner
	job     *job
	kernel  *built
	spec    lab.Spec
	ready   []*unit // of the job, those that can run
	console *console
	silence time.Duration
	after   time.Duration // what the present unit's machine may have beyond the end of its kernel
	payload map[*unit]*bring.Brought
	held    []func() // let go of what the guest is given
	dir     string   // of the logs
	tell    func(line string)
	began   time.Duration // guest time when the present unit began
}

// prepare makes what the guest of a job is given. It judges the units that
// cannot run, and returns nil when none is left. The caller must release what it
// is given.
func (r *Runner) prepare(ctx context.Context, j *job) *session {
	k := r.kernels[j.req.String()]
	var units []*unit
	for _, u := range j.units {
		why := ""
		if k.err == nil {
			why = lacks(u, j.req, k.config)
		}
		switch {
		case why != "":
			r.start(u)
			u.skip(why)
			r.finish(u)
		case k.err != nil:
			r.start(u)
			u.res.Outcome, u.res.Reason, u.done = outcome.Of(k.err), "its kernel: "+firstOf(k.err.Error()), true
			r.finish(u)
		default:
			units = append(units, u)
		}
	}
	if len(units) == 0 || ctx.Err() != nil {
		return nil
	}
	g := &session{r: r, job: j, kernel: k, silence: r.patient(0, silence, j.req), payload: map[*unit]*bring.Brought{}}
	if units[0].c.Machine.Deterministic {
		g.silence *= countedFactor
	}
	g.spec = r.spec(j, k.Kernel)
	if dir := k.Modules(); dir != "" {
		tree, err := image.Tree(filepath.Join(dir, "lib/modules"), "/lib/modules")
		if err != nil {
			for _, u := range units {
				r.infra(u, fmt.Errorf("the kernel's modules: %w", err))
			}
			return nil
		}
		g.spec.Files = append(g.spec.Files, tree...)
	}
	for _, u := range units {
		b, release, err := r.bring(ctx, j, u, k.Kernel)
		if err != nil {
			if ctx.Err() != nil {
				g.release()
				return nil
			}
			r.start(u)
			u.res.Outcome, u.res.Reason, u.done = outcome.Of(err), err.Error(), true
			r.finish(u)
			continue
		}
		g.held = append(g.held, release)
		g.payload[u] = b
		g.spec.Files = append(g.spec.Files, b.Entries...)
		g.ready = append(g.ready, u)
	}
	if len(g.ready) == 0 {
		g.release()
		return nil
	}
	return g
}

// release lets go of what the guest was given.
func (g *session) release() {
	for _, f := range g.held {
		f()
	}
	g.held = nil
}

// run boots the guest and runs the units in it. It returns those that have to be
// run again in a guest of their own, because one before them took the guest down.
func (g *session) run(ctx context.Context) (again []*unit) {
	units, spec := g.ready, g.spec
	first := units[0]
	g.r.start(first)
	start := time.Now()
	dir, err := g.r.logDir(first)
	if err != nil {
		g.r.infra(first, err)
		return units[1:]
	}
	spec.Dir, g.dir = dir, dir
	g.console = newConsole(func(line string) { g.say(line) })
	spec.OnLine = g.console.line
	g.tell = g.say
	g.watching(first)

	g.Guest, err = g.r.Boot(ctx, spec)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		s := &seen{}
		s.end, s.endWhy = bootEnd(err)
		g.finish(ctx, first, s, dir, start)
		g.r.tidy(dir, units[:1])
		return units[1:]
	}
	g.Loud(ctx)
	defer func() {
		g.Close()
		g.r.tidy(dir, units)
	}()
	for i, u := range units {
		if i > 0 {
			g.r.start(u)
			start = time.Now()
			g.watching(u)
		}
		s := &seen{}
		g.unit(ctx, u, s)
		if ctx.Err() != nil {
			return nil
		}
		g.finish(ctx, u, s, dir, start)
		if gone := s.end != "" || s.hang != "" || g.dying(); gone && i+1 < len(units) {
			return units[i+1:]
		}
	}
	return nil
}

// bootEnd says how a boot ended that came to nothing.
func bootEnd(err error) (outcome.Outcome, string) {
	var known *outcome.Error
	if errors.As(err, &known) {
		return known.Outcome, known.Err.Error()
	}
	return outcome.Infra, err.Error()
}

// watching makes u the unit whose output is told from now on.
func (g *session) watching(u *unit) {
	_, g.began = g.heard()
	c := result.Case{Name: u.res.Name, Arch: u.res.Arch, Profile: u.res.Profile}
	g.r.watch(g, &c)
}

func (g *session) heard() (time.Time, time.Duration) {
	if g.Guest == nil {
		return time.Time{}, 0
	}
	return g.Heard()
}

// say tells of a line of the guest.
func (g *session) say(line string) { g.r.output(g, line) }

// unit does what a case says.
func (g *session) unit(ctx context.Context, u *unit, s *seen) {
	g.after = g.r.patient(u.c.Expect.After, 0, g.job.req)
	for _, do := range []func(context.Context, *unit, *seen){g.steps, g.selftests, g.kunit, g.leaks} {
		do(ctx, u, s)
		if s.end != "" || s.hang != "" || ctx.Err() != nil {
			return
		}
		if g.dying() {
			return
		}
	}
}

// finish judges a unit.
func (g *session) finish(ctx context.Context, u *unit, s *seen, dir string, start time.Time) {
	g.console.cut(s)
	if s.end != "" && len(u.c.KUnit) > 0 && len(s.subtests) == 0 {
		kunitConsole(s)
	}
	u.res.Subtests = s.subtests
	u.res.Duration = time.Since(start)
	if _, at := g.heard(); at > 0 {
		u.res.Guest = at - g.began
	}
	j := judge(u.c, s, func(kind splatKind, title string) (string, string) { return g.r.Lists.Allow(&u.res, kind, title) })
	g.decode(ctx, u, s, j.splats)
	if why := decoded(u.c, j.splats); why != "" && j.outcome == outcome.Pass {
		j.outcome, j.reason = outcome.Fail, why
	}
	u.res.Outcome, u.res.Reason, u.res.Splats, u.done = j.outcome, j.reason, j.splats, true
	if j.outcome.Bad() {
		u.res.Console = s.last
	}
	g.r.keepLog(u, dir, s)
	g.r.finish(u)
}

// bring makes what a unit brings into its guest.
func (r *Runner) bring(ctx context.Context, j *job, u *unit, k *kernel.Kernel) (*bring.Brought, func(), error) {
	return bring.Bring(ctx, r.Payload, j.req, k, bring.Things{
		Root: u.c.Dir(), Files: u.c.Files, Programs: u.c.Programs, Modules: u.c.Modules, Hotpatches: u.c.Hotpatches,
		Selftests: u.c.Selftests, BootImage: u.c.BootImage,
	})
}
