package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/bench"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/measure"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/payload"
	"cloudkernel/tools/internal/plot"
	"cloudkernel/tools/internal/progress"
	"cloudkernel/tools/internal/series"
)

// benchOptions are what 'kernlab bench' was asked for.
type benchOptions struct {
	kernelOptions
	arch     string
	vs       []string
	count    int
	baseline string
	out      string
	json     bool
	list     bool
	long     bool
	patience float64
}

func newBenchCmd(a *app) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench [flags] [PATTERN...]",
		Short: "Run benchmarks in guests and compare kernels, boot parameters and machines",
		Long: `bench runs the benchmarks in qemu-tests/*/bench and says what may be claimed of
their numbers. A PATTERN is a topic (smoke), a benchmark (smoke/syscall), a glob
over either or a tag (+quick); without one every benchmark runs but those tagged
+long.

  kernlab bench smoke/syscall                 one benchmark, as it is declared
  kernlab bench smoke --vs plain              the base against the series
  kernlab bench vmf --vs without:vmf --count 20
  kernlab bench smoke --vs boot:nohz=off      other boot parameters
  kernlab bench --list                        what there is
  kernlab bench smoke --baseline old.json     exit code 1 if something got worse

--vs takes what the variants of a benchmark are made of: terms with blanks
between them,

  plain              the base, without the series
  without:TOPIC      the series without a topic
  profile:NAME       a configuration profile
  option:CONFIG_X=y  one more option
  boot:ARGUMENT      one more word of the kernel's command line
  sysctl:NAME=VALUE  set before the benchmark begins
  machine:TYPE       QEMU's machine
  initramfs:16M      an initramfs with so much ballast

and compares the series with that, in the place of what the benchmark declares.

A benchmark runs on one of two rigs. On the deterministic one time is an
instruction count; each run is made twice, and if the two differ in a byte there
is no result. On the statistical one variants run in turn, A B A B, and a value
is the median of --count samples with its interval at 95 %; where the interval
of a difference covers zero, "~" stands for it and nothing is claimed.

In the directory -o are then index.html, the plots as SVG and PNG, results.txt in
Go's benchmark format (benchstat -col variant results.txt), and results.json,
which --baseline reads.

` + outcome.ExitStatus(),
		RunE: func(cmd *cobra.Command, args []string) error { return runBench(cmd.Context(), a, &o, args) },
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.StringVar(&o.arch, "arch", "arm64", "architecture: arm64, x86_64 or all")
	f.StringArrayVar(&o.vs, "vs", nil, "compare the series with this `variant` (may be given several times; the first is what the others are compared with)")
	f.IntVarP(&o.count, "count", "n", 0, "`samples` of each variant on the statistical rig (default: as declared, or 10)")
	f.StringVar(&o.baseline, "baseline", "", "compare with this `file` of an earlier run, results.json or results.txt, and fail if something got worse")
	f.StringVarP(&o.out, "output", "o", "", "`directory` for the report (default: out/bench in the repository)")
	f.BoolVar(&o.json, "json", false, "print the report as JSON instead of tables")
	f.BoolVarP(&o.list, "list", "l", false, "list the benchmarks that would run, and run none")
	f.BoolVar(&o.long, "long", false, "run the benchmarks tagged +long, too")
	f.Float64Var(&o.patience, "patience", 1, "multiply every time limit by this `factor`, on a slow machine")
	return cmd
}

func runBench(ctx context.Context, a *app, o *benchOptions, patterns []string) error {
	if o.count < 0 || o.count > 1000 || o.patience <= 0 {
		return usageError{fmt.Errorf("--count is 1 to 1000, --patience positive")}
	}
	arches, err := parseArches(o.arch)
	if err != nil {
		return err
	}
	vs, err := o.variants(a)
	if err != nil {
		return usageError{fmt.Errorf("--vs: %w", err)}
	}
	all, err := bench.Load(a.root, filepath.Join(a.root, "qemu-tests"))
	if err != nil {
		return err
	}
	chosen, err := bench.Choose(all, patterns, o.long)
	if err != nil {
		return usageError{err}
	}
	if o.list {
		return listBenchmarks(a, chosen, arches)
	}
	var base *measure.Report
	if o.baseline != "" {
		if base, err = measure.ReadFile(o.baseline); err != nil {
			return usageError{fmt.Errorf("--baseline: %w", err)}
		}
	}
	return o.bench(ctx, a, chosen, arches, vs, base)
}

// variants reads --vs.
func (o *benchOptions) variants(a *app) (vs []bench.Variant, err error) {
	for _, text := range o.vs {
		v, err := bench.ParseVariant(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(vs, func(have bench.Variant) bool { return have.Name == v.Name }) || v.Name == "series" {
			return nil, fmt.Errorf("%s is compared already", v.Name)
		}
		if len(v.Without) > 0 {
			s, err := series.Load(filepath.Join(a.root, "kernel-patches"))
			if err != nil {
				return nil, err
			}
			if _, err := s.Without(v.Without...); err != nil {
				return nil, err
			}
		}
		if v.Profile != "" {
			if have := kernel.Profiles(filepath.Join(a.root, "kernel-patches", "configs"), nil); !slices.Contains(have, v.Profile) {
				return nil, fmt.Errorf("no profile is called %q", v.Profile)
			}
		}
		vs = append(vs, v)
	}
	return vs, nil
}

func listBenchmarks(a *app, list []*bench.Benchmark, arches []*arch.Arch) error {
	for _, b := range list {
		var on []string
		for _, ar := range arches {
			if b.On(ar) {
				on = append(on, ar.Name)
			}
		}
		if len(on) == 0 {
			continue
		}
		tags := ""
		for _, t := range b.Tags {
			tags += " +" + string(t)
		}
		if _, err := fmt.Fprintf(a.out, "%-28s %-13s %s%s\n", b.Name, strings.Join(on, ","), b.Summary, tags); err != nil {
			return err
		}
	}
	return nil
}

// bench runs the benchmarks and writes the report.
func (o *benchOptions) bench(ctx context.Context, a *app, chosen []*bench.Benchmark, arches []*arch.Arch, vs []bench.Variant, base *measure.Report) error {
	kernels, err := a.builder(&o.kernelOptions)
	if err != nil {
		return err
	}
	dir := o.out
	if dir == "" {
		dir = filepath.Join(a.root, "out", "bench")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return outcome.Errorf(outcome.Infra, "%w", err)
	}
	pay := &payload.Maker{Store: kernels.Store, Kernels: kernels, Root: a.root}
	bar := &benchBar{a: a}
	r := &bench.Runner{
		Root: a.root, Store: kernels.Store, Kernels: kernels, Payload: pay, Rigs: bench.NewRigs(a.root, pay),
		Arches: arches, Kernel: o.request(nil), Vs: vs, Count: o.count, Patience: o.patience,
		Dir: filepath.Join(dir, "logs"), Tell: bar.event,
	}
	rep, err := r.Run(ctx, chosen)
	bar.done()
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	rep.Command = o.command(chosen)
	version, verr := machine.Version(ctx, arches[0])
	if verr == nil {
		rep.Host = bench.Host(version)
	}
	if werr := o.write(a, rep, dir); werr != nil {
		return werr
	}
	if err != nil {
		return err
	}
	return o.verdict(a, rep, base)
}

// write writes what there is to keep, and prints what there is to see.
func (o *benchOptions) write(a *app, rep *measure.Report, dir string) error {
	if err := plot.Write(dir, rep); err != nil {
		return outcome.Errorf(outcome.Infra, "write the report: %w", err)
	}
	if o.json {
		return rep.WriteJSON(a.out)
	}
	if err := plot.Text(a.out, rep); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.err, "\n%s, of it %s in guests; beside them the harness took %.1f %%\nreport: %s\n",
		rep.Wall.Duration().Round(time.Second), rep.Guests.Duration().Round(time.Second), 100*rep.Overhead(), filepath.Join(dir, "index.html"))
	return err
}

// verdict returns the error that says how the run ended.
func (o *benchOptions) verdict(a *app, rep, base *measure.Report) error {
	outcomes := []outcome.Outcome{}
	for _, b := range rep.Benchmarks {
		if b.Outcome != "" {
			outcomes = append(outcomes, outcome.Outcome(b.Outcome))
		} else {
			outcomes = append(outcomes, outcome.Pass)
		}
	}
	if base != nil {
		changes, notes := rep.Against(base)
		if err := plot.Changes(a.err, changes, notes); err != nil {
			return err
		}
		if slices.ContainsFunc(changes, func(c measure.Change) bool { return c.Regression }) {
			outcomes = append(outcomes, outcome.Fail)
		}
	}
	if code := outcome.Worst(outcomes...).Exit(); code != 0 {
		return exitError(code)
	}
	return nil
}

// command returns the command line that makes the report again.
func (o *benchOptions) command(chosen []*bench.Benchmark) string {
	s := "kernlab bench"
	for _, b := range chosen {
		s += " " + b.Name
	}
	if o.arch != "arm64" {
		s += " --arch " + o.arch
	}
	for _, v := range o.vs {
		s += " --vs '" + v + "'"
	}
	if o.count > 0 {
		s += fmt.Sprintf(" --count %d", o.count)
	}
	return s
}

// benchBar shows how far the trials have come.
type benchBar struct {
	a   *app
	bar *progress.Bar
}

func (b *benchBar) event(e bench.Event) {
	switch {
	case e.Planned > 0:
		b.bar = progress.New(b.a.err, "bench", "runs", int64(e.Planned))
	case e.Note != "":
		fmt.Fprintln(b.a.err, "kernlab: "+e.Note)
	case e.Done > 0 && b.bar != nil:
		b.bar.Add(int64(e.Done))
	}
}

func (b *benchBar) done() {
	if b.bar != nil {
		b.bar.Done()
	}
}
