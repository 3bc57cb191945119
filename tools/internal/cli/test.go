package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/known"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/payload"
	"cloudkernel/tools/internal/report"
	"cloudkernel/tools/internal/run"
	"cloudkernel/tools/internal/store"
)

// testOptions are what 'kernlab test' was asked for.
type testOptions struct {
	kernelOptions
	report   report.Options
	arch     string
	jobs     int
	repeat   int
	shard    string
	list     bool
	keep     bool
	failFast bool
	long     bool
	patience float64
}

func newTestCmd(a *app) *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test [flags] [PATTERN...]",
		Short: "Boot kernels of the series and judge them by the cases in qemu-tests",
		Long: `test builds what kernels it needs, boots a guest for each case and judges what
happened in it. A PATTERN is a topic (smoke), a case (smoke/boot), a glob over
either ('*/boot', 'v*') or a tag (+quick); without one every case runs but those
tagged +long.

  kernlab test                              everything, arm64
  kernlab test smoke --arch all             one topic, both architectures
  kernlab test vmf/fairness --repeat 20     is it flaky?
  kernlab test --profile debug              under KASAN and lockdep
  kernlab test --shard 2/4 --junit=t.xml    the second quarter, for a CI system
  kernlab test --list                       what there is

Every case ends as one of

  pass        everything that must hold held
  fail        the guest answered, and the answer was wrong
  skip        could not be judged here, and says why
  panic       the kernel printed a splat that is not allowed, or died
  hang        the guest fell silent, or ran out of its time
  boot-fail   the guest never said hello
  infra       the laboratory itself failed

and whatever did not pass shows the kernel's words with source lines, the end of
the console, where the full logs are, and the command that runs it again. What is
known to fail is listed in ci/known-failures.yaml, splats that are let pass in
ci/allowed-splats.yaml; an entry whose day is over no longer counts.

Guests run at the same time as far as there are cores for the threads that run
their CPUs (emulated x86_64 has one for all) and memory for them. While cores are
seen to be idle, since guests sleep, there are up to twice as many; with -j there
are no more than it says. Ctrl-C ends them all and reports what was judged.

` + outcome.ExitStatus(),
		RunE: func(cmd *cobra.Command, args []string) error { return runTest(cmd.Context(), a, &o, args) },
	}
	f := cmd.Flags()
	o.addFlags(f)
	o.report.AddFlags(f)
	f.StringVar(&o.arch, "arch", "arm64", "architecture: arm64, x86_64 or all")
	f.IntVarP(&o.jobs, "jobs", "j", 0, "`threads` that may run guests' CPUs at once (default: as many as the machine's cores allow)")
	f.IntVar(&o.repeat, "repeat", 1, "run each case `N` times, each in a fresh guest, and say how often it passed")
	f.StringVar(&o.shard, "shard", "", "run one of n equal parts of the cases, `i/n`")
	f.BoolVarP(&o.list, "list", "l", false, "list the cases that would run, and run none")
	f.BoolVar(&o.keep, "keep", false, "keep the logs of what passed, too")
	f.BoolVar(&o.long, "long", false, "run the cases tagged +long, too: stress that takes many minutes")
	f.BoolVar(&o.failFast, "fail-fast", false, "stop at the first failure")
	f.Float64Var(&o.patience, "patience", 1, "multiply every time limit by this `factor`, on a slow machine")
	return cmd
}

func runTest(ctx context.Context, a *app, o *testOptions, patterns []string) error {
	if o.repeat < 1 || o.jobs < 0 || o.patience <= 0 {
		return usageError{fmt.Errorf("--repeat and --patience must be positive, -j not negative")}
	}
	arches, err := parseArches(o.arch)
	if err != nil {
		return err
	}
	shard, err := cases.ParseShard(o.shard)
	if err != nil {
		return usageError{err}
	}
	all, err := cases.Load(a.root, filepath.Join(a.root, "qemu-tests"))
	if err != nil {
		return err
	}
	chosen, err := cases.Choose(all, patterns, o.long)
	if err != nil {
		return usageError{err}
	}
	if o.list {
		return listCases(a, chosen, arches, shard)
	}
	lists, err := known.Load(filepath.Join(a.root, "ci"), time.Now().UTC())
	if err != nil {
		return err
	}
	return o.test(ctx, a, chosen, arches, shard, lists)
}

// test runs the cases and writes the reports.
func (o *testOptions) test(ctx context.Context, a *app, chosen []*cases.Case, arches []*arch.Arch, shard cases.Shard, lists *known.Lists) error {
	kernels, err := a.builder(&o.kernelOptions)
	if err != nil {
		return err
	}
	logs, err := run.NewLogDir(filepath.Join(a.root, "out", "test"))
	if err != nil {
		return outcome.Errorf(outcome.Infra, "logs: %w", err)
	}
	sink, err := o.report.Sink(a.out, a.err)
	if err != nil {
		return err
	}
	kernels.Err = sink
	accels, line := accelerators(ctx, kernels.Store, arches)
	r := &run.Runner{
		Root: a.root, Store: kernels.Store, Kernels: kernels, Lists: lists, Boot: run.Boot, Sink: sink,
		Payload: &payload.Maker{Store: kernels.Store, Kernels: kernels, Root: a.root},
		Cases:   chosen, Arches: arches, Kernel: o.request(nil),
		Jobs: o.jobs, Repeat: o.repeat, Shard: shard, FailFast: o.failFast, Keep: o.keep, Patience: o.patience,
		LogDir: logs, Accel: line, Accels: accels,
	}
	res, err := r.Run(ctx)
	if cerr := sink.Close(res); cerr != nil {
		return cerr
	}
	if err != nil {
		return err
	}
	if code := res.Outcome().Exit(); code != 0 {
		return exitError(code)
	}
	return nil
}

// listCases prints what would run.
func listCases(a *app, chosen []*cases.Case, arches []*arch.Arch, shard cases.Shard) error {
	n := 0
	for _, ar := range arches {
		for _, c := range chosen {
			if !c.On(ar) {
				continue
			}
			n++
			if !shard.Has(n - 1) {
				continue
			}
			tags := ""
			for _, t := range c.Tags {
				tags += " +" + string(t)
			}
			if _, err := fmt.Fprintf(a.out, "%-32s %-7s %s%s\n", c.Name, ar, c.Summary, tags); err != nil {
				return err
			}
		}
	}
	return nil
}

// accelerators returns what guests run on, by architecture and in one line.
func accelerators(ctx context.Context, st *store.Store, arches []*arch.Arch) (accels map[string]machine.Accel, line string) {
	var list []string
	accels = map[string]machine.Accel{}
	for _, ar := range arches {
		v, err := machine.Probe(ctx, st, ar)
		if err != nil {
			continue // the first boot says what is missing
		}
		accels[ar.Name] = v.Accel
		list = append(list, fmt.Sprintf("%s: %s", ar, v))
	}
	return accels, strings.Join(list, "; ")
}
