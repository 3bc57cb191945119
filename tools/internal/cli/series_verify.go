package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/series"
)

type seriesVerifyOptions struct {
	kernelOptions
	arch string
	from string
	to   string
	json bool
}

func newSeriesVerifyCmd(a *app) *cobra.Command {
	var o seriesVerifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that every patch stands by itself: style, and a build after each",
		Long: `verify runs what series check does, the kernel's style checker
(scripts/checkpatch.pl --strict) on every patch, and then builds the kernel after
each patch, with those before it applied and their topics switched on. It stops
at the first patch that does not build or that brings new warnings; --from goes
on from there once it is mended. Builds are incremental, and a prefix of the
series that was built before is not built again.

A patch to a header that all include has all compiled anew, which for the default
profile takes a quarter of an hour. The profile lean (kernel-patches/configs) has
the topics' options and what they need, and little else.

  kernlab series verify                           arm64
  kernlab series verify --profile lean            a smaller kernel
  kernlab series verify --arch all                both architectures
  kernlab series verify --from vmf/0003           from a patch on; --to is the last

` + outcome.ExitStatus(),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSeriesVerify(cmd.Context(), a, &o) },
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.StringVar(&o.arch, "arch", "arm64", "architecture: arm64, x86_64 or all")
	f.StringVar(&o.from, "from", "", "begin with this `PATCH`: the name of its file, or the beginning of it up to a '-'")
	f.StringVar(&o.to, "to", "", "end with this `PATCH`")
	f.BoolVar(&o.json, "json", false, "print what was found as JSON")
	for _, name := range []string{"plain", "without"} {
		_ = f.MarkHidden(name)
	}
	return cmd
}

// seriesVerify is what verify found.
type seriesVerify struct {
	Outcome outcome.Outcome `json:"outcome"`
	Check   *seriesCheck    `json:"check"`
	Style   diag.List       `json:"checkpatch"`
	Builds  []verifiedPatch `json:"builds"`
}

type verifiedPatch struct {
	Patch   string          `json:"patch"`
	Arch    string          `json:"arch"`
	Outcome outcome.Outcome `json:"outcome"`
	Took    time.Duration   `json:"nanoseconds"`
	Reason  string          `json:"reason,omitempty"`
}

// prefixBuilder builds the first patches of a series with package kernel.
type prefixBuilder struct {
	*kernel.Builder
	request func(*arch.Arch) kernel.Request
}

// BuildPrefix implements series.Builder. A kernel that builds with warnings in
// the files of the series does not count as built.
func (b *prefixBuilder) BuildPrefix(ctx context.Context, n int, ar *arch.Arch) error {
	r := b.request(ar)
	r.Prefix = n
	k, release, err := b.Build(ctx, r)
	if err != nil {
		return err
	}
	defer release()
	var list diag.List
	for _, w := range k.Warnings {
		list.Addf("", 0, "%s", w)
	}
	return list.Err()
}

func runSeriesVerify(ctx context.Context, a *app, o *seriesVerifyOptions) error {
	if o.plain || len(o.without) > 0 {
		return usageError{errors.New("verify is about the whole series: it takes neither --plain nor --without")}
	}
	arches, err := parseArches(o.arch)
	if err != nil {
		return err
	}
	if !kernel.HasTopics(filepath.Join(a.root, "kernel-patches", "configs"), o.profile) {
		return usageError{fmt.Errorf("profile %s leaves the topics' options out, so that nothing of the series would be compiled; lean is small and has them", o.profile)}
	}
	b, err := a.builder(&o.kernelOptions)
	if err != nil {
		return err
	}
	s, err := a.loadSeries(nil)
	if err != nil {
		return err
	}
	r := &seriesVerify{Style: diag.List{}, Builds: []verifiedPatch{}}
	err = r.verify(ctx, a, s, &prefixBuilder{b, o.request}, arches, o)
	if r.Check != nil && ctx.Err() == nil {
		if serr := show(a.out, o.json, r); serr != nil {
			return serr
		}
	}
	if err != nil {
		return err
	}
	if r.Outcome != outcome.Pass {
		return exitError(r.Outcome.Exit())
	}
	return nil
}

// verify does the work. A series that breaks rules or does not apply is not
// built; style findings do not stop the builds.
func (r *seriesVerify) verify(ctx context.Context, a *app, s *series.Series, b series.Builder, arches []*arch.Arch, o *seriesVerifyOptions) error {
	from := baseOptions{base: o.base, sha256: o.baseSum}
	var err error
	if r.Check, err = checkSeries(ctx, a, &seriesCheckOptions{baseOptions: from}); err != nil {
		return err
	}
	if r.Outcome = r.Check.Outcome; r.Outcome != outcome.Pass {
		return nil
	}
	src, release, err := a.getBase(ctx, from)
	if err != nil {
		return err
	}
	defer release()
	style, err := runCheckpatch(ctx, a, src.Dir, s.Patches)
	if err != nil {
		return err
	}
	if r.Style = append(r.Style, style...); len(style) > 0 {
		r.Outcome = outcome.Fail
	}
	for _, ar := range arches {
		if err := r.build(ctx, a, s, b, ar, o); err != nil {
			return err
		}
	}
	return nil
}

func (r *seriesVerify) build(ctx context.Context, a *app, s *series.Series, b series.Builder, ar *arch.Arch, o *seriesVerifyOptions) error {
	before := func(st series.Step) {
		fmt.Fprintf(a.err, "%s  %s %d/%d %s\n", time.Now().Format("15:04:05"), ar, st.N, st.Of, st.Patch.Name)
	}
	after := func(st series.Step) {
		v := verifiedPatch{Patch: st.Patch.Name, Arch: ar.Name, Outcome: outcome.Of(st.Err), Took: st.Elapsed}
		if st.Err != nil {
			v.Reason = st.Err.Error()
			r.Outcome = outcome.Worst(r.Outcome, v.Outcome)
		}
		r.Builds = append(r.Builds, v)
	}
	return s.Verify(ctx, b, ar, o.from, o.to, before, after)
}

func (r *seriesVerify) text(w io.Writer) error {
	if r.Check.Outcome != outcome.Pass {
		return r.Check.text(w)
	}
	for _, d := range r.Style {
		fmt.Fprintln(w, d.Error())
	}
	table := [][]string{{"PATCH", "ARCH", "BUILD", " TOOK"}}
	for _, b := range r.Builds {
		table = append(table, []string{b.Patch, b.Arch, string(b.Outcome), b.Took.Round(time.Second).String()})
	}
	if len(r.Builds) > 0 {
		if err := rows(w, table); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s: %s, %s of checkpatch, %s\n", r.Outcome, plural(r.Check.Patches, "patch", "patches"),
		plural(len(r.Style), "finding", "findings"), plural(len(r.Builds), "build", "builds"))
	return err
}
