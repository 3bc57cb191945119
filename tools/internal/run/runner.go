package run

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/known"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/payload"
	"cloudkernel/tools/internal/result"
	"cloudkernel/tools/internal/splat"
	"cloudkernel/tools/internal/store"
)

type splatKind = splat.Kind

// Runner runs cases. The fields up to Sink must be set.
type Runner struct {
	Root    string
	Store   *store.Store
	Kernels Kernels
	Payload *payload.Maker
	Lists   *known.Lists
	Boot    BootFunc
	Sink    result.Sink

	Cases  []*cases.Case
	Arches []*arch.Arch
	Kernel kernel.Request // what is common to all: profile, topics left out, options

	Jobs     int // threads that run guests' CPUs at once; 0: as many as there are cores
	Repeat   int // times each case runs; 0: once
	Shard    cases.Shard
	FailFast bool
	Keep     bool    // also the logs of what passed
	Patience float64 // factor on every limit of time; 0: 1
	LogDir   string  // where logs go, one directory a case
	Accel    string  // what guests run on, in one line
	// Accels has the accelerator of each architecture by its name.
	Accels map[string]machine.Accel

	dir     string // where steps start in the guest; default caseDir
	kernels map[string]*built

	mu       sync.Mutex
	current  map[*session]*result.Case
	told     map[*session]time.Time
	stop     context.CancelFunc
	stopped  bool
	logNames map[string]int
}

// Kernels builds kernels (package kernel).
type Kernels interface {
	Build(ctx context.Context, r kernel.Request) (*kernel.Kernel, func(), error)
	Source(ctx context.Context, r kernel.Request) (read func(file string) ([]byte, error), release func(), err error)
}

// built is a kernel, or why there is none.
type built struct {
	*kernel.Kernel
	req     kernel.Request
	config  string
	err     error
	decoder *decoder
}

// Run runs everything and returns what came of it. When ctx is done it ends
// the guests and returns what was judged so far together with ctx's error.
func (r *Runner) Run(ctx context.Context) (*result.Run, error) {
	started := time.Now()
	r.current, r.told = map[*session]*result.Case{}, map[*session]time.Time{}
	r.logNames = map[string]int{}
	units := r.units()
	release := r.build(ctx, units)
	defer release()

	r.Sink.Event(result.Event{Kind: result.Planned, Total: len(units)})
	running, stop := context.WithCancel(ctx)
	defer stop()
	r.stop = stop
	r.all(running, r.jobs(units))

	run := &result.Run{Started: started, Duration: time.Since(started), Machine: r.Accel, Interrupted: ctx.Err() != nil}
	for _, k := range r.kernels {
		if k.err == nil && k.Kernel != nil {
			run.Kernels = append(run.Kernels, result.KernelInfo{Arch: k.ArchName, Profile: k.Profile, Release: k.Release, Key: k.Key})
		}
	}
	slices.SortFunc(run.Kernels, func(a, b result.KernelInfo) int {
		return cmp.Or(cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Key, b.Key))
	})
	run.Cases = collect(units)
	r.pruneLogs()
	return run, ctx.Err()
}

// build builds the kernels that units need, one after the other: each build
// has every core.
func (r *Runner) build(ctx context.Context, units []*unit) (release func()) {
	r.kernels = map[string]*built{}
	var releases []func()
	for _, u := range units {
		req := r.request(u)
		name := req.String()
		if r.kernels[name] != nil {
			continue
		}
		k := &built{req: req}
		r.kernels[name] = k
		if k.err = ctx.Err(); k.err != nil {
			continue
		}
		kern, done, err := r.Kernels.Build(ctx, req)
		if err != nil {
			k.err = err
			if ctx.Err() == nil {
				r.note("%s", err)
			}
			continue
		}
		releases = append(releases, done)
		k.Kernel = kern
		config, err := os.ReadFile(kern.Config())
		if err != nil {
			k.err = outcome.Errorf(outcome.Infra, "%w", err)
		}
		k.config = string(config)
		k.decoder = newDecoder(r, k)
	}
	return func() {
		for _, k := range r.kernels {
			if k.decoder != nil {
				k.decoder.close()
			}
		}
		for _, f := range releases {
			f()
		}
	}
}

const (
	ahead  = 4 // guests that are made ready while others run
	makers = 2 // that make them: some wait for a compiler
)

// all runs jobs as far as there is room, and what they leave over again. What
// guests are given is made ahead, so that nobody who has room waits for it.
func (r *Runner) all(ctx context.Context, jobs []*job) {
	given := make(chan *job)
	ready := make(chan *session, ahead)
	go func() {
		defer close(given)
		for _, j := range jobs {
			select {
			case given <- j:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() {
		defer close(ready)
		var wg sync.WaitGroup
		defer wg.Wait()
		for range makers {
			wg.Go(func() {
				for j := range given {
					if g := r.prepare(ctx, j); g != nil {
						ready <- g
					}
				}
			})
		}
	}()
	space := newRoom(r.Jobs, freeMemory())
	var wg sync.WaitGroup
	var start func(g *session)
	start = func(g *session) {
		g.job.threads = machine.Threads(g.job.req.Arch, r.Accels[g.job.req.Arch.Name], g.job.cpus)
		leave, err := space.enter(ctx, g.job)
		if err != nil {
			g.release()
			return
		}
		wg.Go(func() {
			again := g.run(ctx)
			g.release()
			leave()
			// One guest each: what took the guest down may do so again.
			for _, u := range again {
				if g := r.prepare(ctx, newJob(g.job.req, u)); g != nil {
					start(g)
				}
			}
		})
	}
	for g := range ready {
		start(g)
	}
	wg.Wait()
}

// patient returns how long something may take: given, or by default. A kernel
// that checks itself at every step is several times slower.
func (r *Runner) patient(given cases.Duration, byDefault time.Duration, req kernel.Request) time.Duration {
	d := time.Duration(given)
	if d == 0 {
		d = byDefault
	}
	f := cmp.Or(r.Patience, 1)
	if req.Profile != "" && req.Profile != kernel.DefaultProfile {
		f *= checkedFactor
	}
	return time.Duration(float64(d) * f)
}

// checkedFactor is how much longer a kernel of another profile than the
// default one may take for everything.
const checkedFactor = 4

// start, output, watch, finish and note tell the sink.

func (r *Runner) start(u *unit) {
	u.res.Started = time.Now()
	c := u.res
	r.Sink.Event(result.Event{Kind: result.Started, Case: &c})
}

// watch makes c the case that a session's lines belong to.
func (r *Runner) watch(g *session, c *result.Case) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current[g] = c
}

// tellEvery bounds how often a line of one guest is told: nobody reads faster,
// and a guest may flood its console.
const tellEvery = 50 * time.Millisecond

func (r *Runner) output(g *session, line string) {
	r.mu.Lock()
	c, now := r.current[g], time.Now()
	if c == nil || now.Sub(r.told[g]) < tellEvery {
		r.mu.Unlock()
		return
	}
	r.told[g] = now
	r.mu.Unlock()
	r.Sink.Event(result.Event{Kind: result.Output, Case: c, Line: line})
}

func (r *Runner) finish(u *unit) {
	r.Lists.Judge(&u.res)
	c := u.res
	r.Sink.Event(result.Event{Kind: result.Finished, Case: &c})
	if r.FailFast && c.Bad() {
		r.mu.Lock()
		first := !r.stopped
		r.stopped = true
		r.mu.Unlock()
		if first {
			r.note("stopping at the first failure")
			r.stop()
		}
	}
}

// infra judges a unit that the laboratory failed.
func (r *Runner) infra(u *unit, err error) {
	u.res.Outcome, u.res.Reason, u.done = outcome.Infra, err.Error(), true
	r.finish(u)
}

func (r *Runner) note(format string, args ...any) {
	r.Sink.Event(result.Event{Kind: result.Note, Line: fmt.Sprintf(format, args...)})
}

// collect returns the cases that were judged, repetitions summed up.
func collect(units []*unit) []result.Case {
	var list []result.Case
	index := map[string]int{}
	for _, u := range units {
		if !u.done {
			continue
		}
		key := u.res.Name + "|" + u.res.Arch
		i, seen := index[key]
		if !seen {
			index[key] = len(list)
			list = append(list, u.res)
			continue
		}
		sumUp(&list[i], &u.res)
	}
	return list
}

// sumUp adds another run of a case to what stands for all of them: the
// details are those of the worst, the first of several.
func sumUp(all, one *result.Case) {
	if all.Repeat == nil {
		all.Repeat = &result.Repeat{}
		all.Repeat.Add(all.Outcome)
	}
	rep := all.Repeat
	rep.Add(one.Outcome)
	total := all.Duration + one.Duration
	if outcome.Worst(all.Outcome, one.Outcome) != all.Outcome {
		*all = *one
	}
	all.Repeat, all.Duration = rep, total
}
