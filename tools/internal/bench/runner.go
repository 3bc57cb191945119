package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/measure"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/payload"
	"cloudkernel/tools/internal/store"
)

// Runner runs benchmarks. The fields up to Rigs must be set.
type Runner struct {
	Root    string
	Store   *store.Store
	Kernels Kernels
	Payload *payload.Maker
	Rigs    Rigs

	Arches   []*arch.Arch
	Kernel   kernel.Request // what is common to all
	Vs       []Variant      // if any, the variants of every benchmark, before the series
	Count    int            // samples of each variant; 0: as declared
	Patience float64        // factor on every limit of time; 0: 1
	Dir      string         // for logs, one directory a trial

	// Initramfs returns the base archive; default: as image.Maker makes it.
	Initramfs func(ctx context.Context, a *arch.Arch) (path string, release func(), err error)
	// Tell is called with what a person may want to know.
	Tell func(Event)
}

// Rigs are the ways in which trials are run.
type Rigs struct {
	Bare Rig // deterministic trials, and boots
	Full Rig // statistical trials
}

// Kernels builds kernels (package kernel).
type Kernels interface {
	Build(ctx context.Context, r kernel.Request) (*kernel.Kernel, func(), error)
}

// Event is something that happens in a run.
type Event struct {
	Planned int    // how many trials there will be; sent once, with nothing else
	Trial   string // a trial begins: what it is
	Done    int    // so many trials ended, or will not take place
	Note    string // for a person
}

func (r *Runner) tell(e Event) {
	if r.Tell != nil {
		r.Tell(e)
	}
}

func (r *Runner) initramfs(ctx context.Context, a *arch.Arch) (string, func(), error) {
	if r.Initramfs != nil {
		return r.Initramfs(ctx, a)
	}
	return (&image.Maker{Store: r.Store, Repo: r.Root}).Initramfs(ctx, a)
}

// job is a benchmark on one architecture.
type job struct {
	*Benchmark
	arch     *arch.Arch
	variants []Variant
	rounds   int
}

// jobs returns what is to run.
func (r *Runner) jobs(list []*Benchmark) []*job {
	var jobs []*job
	for _, a := range r.Arches {
		for _, b := range list {
			if !b.On(a) {
				continue
			}
			j := &job{Benchmark: b, arch: a, variants: b.Variants, rounds: b.Count}
			if len(r.Vs) > 0 {
				j.variants = append(slices.Clone(r.Vs), Variant{Name: "series"})
			}
			switch {
			case b.rig() == measure.Deterministic:
				j.rounds = 2
			case r.Count > 0:
				j.rounds = r.Count
			case j.rounds == 0:
				j.rounds = DefaultCount
			}
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// Run runs the benchmarks and returns what came of them. When ctx is done it
// returns what there is together with ctx's error.
func (r *Runner) Run(ctx context.Context, list []*Benchmark) (*measure.Report, error) {
	rep := &measure.Report{Made: time.Now().UTC().Truncate(time.Second)}
	jobs := r.jobs(list)
	total := 0
	for _, j := range jobs {
		total += j.rounds * len(j.variants)
	}
	r.tell(Event{Planned: total})
	for _, j := range jobs {
		if ctx.Err() != nil {
			break
		}
		res := measure.Benchmark{
			Name: j.Name, Summary: j.Summary, Arch: j.arch.Name, Rig: j.rig(), Compare: j.Compare,
			Metrics: j.metrics(), Repro: r.repro(j),
		}
		err := r.job(ctx, j, &res, rep)
		if err != nil {
			o := outcome.Of(err)
			res.Outcome, res.Reason = string(o), err.Error()
			if errors.Is(err, context.Canceled) {
				res.Outcome, res.Reason = string(outcome.Infra), "interrupted"
			}
			if ctx.Err() == nil {
				r.tell(Event{Note: fmt.Sprintf("%s on %s: %s: %v", j.Name, j.arch, o, err)})
			}
		}
		rep.Benchmarks = append(rep.Benchmarks, res)
	}
	return rep, ctx.Err()
}

// job runs one benchmark.
func (r *Runner) job(ctx context.Context, j *job, res *measure.Benchmark, rep *measure.Report) (err error) {
	left := j.rounds * len(j.variants)
	defer func() { r.tell(Event{Done: left}) }()

	trials, release, err := r.prepare(ctx, j, res)
	if err != nil {
		return err
	}
	defer release()
	begin := time.Now()
	defer func() { rep.Wall += measure.Seconds(time.Since(begin).Seconds()) }()
	rig := r.Rigs.Full
	if j.rig() == measure.Deterministic || j.Boot {
		rig = r.Rigs.Bare
	}
	first := make([]Observation, len(trials))
	for round := range j.rounds {
		for i, t := range trials {
			r.tell(Event{Trial: fmt.Sprintf("%s %s, %s, %d of %d", j.Name, j.arch, t.Variant.Name, round+1, j.rounds)})
			t.Dir = filepath.Join(r.Dir, dirName(fmt.Sprintf("%s-%s-%s-%d", j.Name, j.arch, t.Variant.Name, round)))
			obs, err := rig.Run(ctx, t)
			rep.Guests += measure.Seconds(obs.Wall.Seconds())
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("%s: %w", t.Variant.Name, err)
			}
			r.tell(Event{Done: 1})
			left--
			if j.rig() == measure.Deterministic {
				if round == 0 {
					first[i] = obs
					continue
				}
				if err := agree(first[i], obs); err != nil {
					return fmt.Errorf("%s: %w", t.Variant.Name, err)
				}
			}
			if err := sample(j, t, round, obs, res); err != nil {
				return fmt.Errorf("%s: %w", t.Variant.Name, err)
			}
		}
	}
	if !j.Boot || j.rig() != measure.Deterministic {
		return nil
	}
	for _, t := range trials {
		b, err := r.breakdown(ctx, j, rig, t, rep)
		if err != nil {
			return fmt.Errorf("%s, taken apart: %w", t.Variant.Name, err)
		}
		res.Breaks = append(res.Breaks, b)
	}
	return nil
}

// agree returns an error if two deterministic runs differ.
func agree(a, b Observation) error {
	if a.Console == b.Console && a.Marks == b.Marks {
		return nil
	}
	return outcome.Errorf(outcome.Fail, "two runs on the deterministic rig differ, so there is no result: %s", firstDifference(a.Console, b.Console))
}

// sample adds what a trial printed to the results.
func sample(j *job, t Trial, round int, obs Observation, res *measure.Benchmark) error {
	text := obs.Stdout
	if j.Boot {
		text = bootText(j.rig(), obs.Marks)
	}
	results, hists, err := measure.Parse(text)
	if err == nil {
		err = measure.Check(results, res.Metrics)
	}
	if err != nil {
		return outcome.Errorf(outcome.Fail, "%w", err)
	}
	if j.rig() == measure.Deterministic {
		round = 0
	}
	res.Samples = append(res.Samples, measure.Sample{
		Variant: t.Variant.Name, Round: round, Wall: measure.Seconds(obs.Wall.Seconds()),
		Results: results, Histograms: hists,
	})
	return nil
}

// repro returns the command that makes a benchmark's numbers again.
func (r *Runner) repro(j *job) string {
	s := fmt.Sprintf("kernlab bench %s --arch %s", j.Name, j.arch)
	for _, v := range r.Vs {
		s += " --vs '" + v.Name + "'"
	}
	if r.Count > 0 && j.rig() != measure.Deterministic {
		s += fmt.Sprintf(" --count %d", r.Count)
	}
	if p := r.Kernel.Profile; p != "" && p != kernel.DefaultProfile {
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

// dirName makes a name fit for a directory.
func dirName(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '-' || c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '-'
	}, s)
}

// Host says what machine this is.
func Host(qemu string) measure.Host {
	h := measure.Host{QEMU: qemu, Cores: cores()}
	if data, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.Kernel = strings.TrimSpace(string(data))
	}
	data, _ := os.ReadFile("/proc/cpuinfo")
	for l := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(l, ":"); ok && (strings.TrimSpace(name) == "model name" || strings.TrimSpace(name) == "CPU part") {
			h.CPU = strings.TrimSpace(value)
			break
		}
	}
	return h
}
