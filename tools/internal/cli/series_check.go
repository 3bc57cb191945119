package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cloudkernel/tools/internal/checkpatch"
	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/progress"
	"cloudkernel/tools/internal/series"
)

type seriesCheckOptions struct {
	baseOptions
	without    []string
	checkpatch bool
	json       bool
}

func newSeriesCheckCmd(a *app) *cobra.Command {
	var o seriesCheckOptions
	var rules strings.Builder
	for _, r := range series.Rules() {
		fmt.Fprintf(&rules, "  %-16s %s\n", r.Name, r.Says)
	}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the series, and whether it applies",
		Long: `check reads the series, checks every patch against the rules below, and applies
the series to the base in memory, as strictly as git am would: as a whole, and
without each topic in turn, since any topic can be left out. What is wrong is
printed as file:line: message; a hunk that does not apply is shown with the text
that stands in its place. When nothing is wrong, a table says what each topic
brings.

  kernlab series check                      everything
  kernlab series check --without vmf        as if a topic were not there
  kernlab series check --checkpatch         the kernel's own style checker too
  kernlab series check --base ~/linux-6.12  against another tree

RULES
` + rules.String() + `
` + outcome.ExitStatus(),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSeriesCheck(cmd.Context(), a, &o) },
	}
	f := cmd.Flags()
	o.addFlags(f)
	f.StringSliceVar(&o.without, "without", nil, "leave a `topic` of the series out (may be given several times)")
	f.BoolVar(&o.checkpatch, "checkpatch", false, "run scripts/checkpatch.pl --strict on every patch as well")
	f.BoolVar(&o.json, "json", false, "print what was found as JSON")
	return cmd
}

// seriesCheck is what check found.
type seriesCheck struct {
	Outcome    outcome.Outcome `json:"outcome"`
	Base       string          `json:"base"` // release, "" if it was not needed
	Digest     string          `json:"base_digest"`
	Substitute bool            `json:"base_is_substitute"`
	Patches    int             `json:"patches"`
	Topics     []topicCheck    `json:"topics"`
	Findings   diag.List       `json:"findings"`
	Moved      diag.List       `json:"moved"` // hunks that apply elsewhere than they say
	Took       time.Duration   `json:"nanoseconds"`
}

type topicCheck struct {
	Topic    string `json:"topic"`
	Patches  int    `json:"patches"`
	Files    int    `json:"files"`
	Added    int    `json:"added"`
	Deleted  int    `json:"deleted"`
	Findings int    `json:"findings"`
}

func runSeriesCheck(ctx context.Context, a *app, o *seriesCheckOptions) error {
	r, err := checkSeries(ctx, a, o)
	if err != nil {
		return err
	}
	if err := show(a.out, o.json, r); err != nil {
		return err
	}
	if r.Outcome != outcome.Pass {
		return exitError(r.Outcome.Exit())
	}
	return nil
}

func checkSeries(ctx context.Context, a *app, o *seriesCheckOptions) (*seriesCheck, error) {
	r := &seriesCheck{Outcome: outcome.Pass, Topics: []topicCheck{}, Findings: diag.List{}, Moved: diag.List{}}
	start := time.Now()
	s, err := a.loadSeries(o.without)
	if list, ok := findings(err); ok {
		r.Findings, r.Outcome, r.Took = list, outcome.Fail, time.Since(start)
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	loaded := time.Since(start)
	src, release, err := a.getBase(ctx, o.baseOptions)
	if err != nil {
		return nil, err
	}
	defer release()
	r.Base, r.Digest, r.Substitute, r.Patches = src.Version, src.Digest, src.Substitute, len(s.Patches)

	start = time.Now()
	r.Findings = append(r.Findings, s.Check(os.DirFS(a.root))...)
	applied, err := s.Apply(os.DirFS(src.Dir))
	if list, ok := findings(err); ok {
		r.Findings = append(r.Findings, list...)
	} else if err != nil {
		return nil, err
	} else {
		r.Moved = append(r.Moved, applied.Moved...)
		list, err := s.Independent(os.DirFS(src.Dir))
		if err != nil {
			return nil, err
		}
		r.Findings = append(r.Findings, list...)
	}
	r.Took = loaded + time.Since(start)
	if o.checkpatch {
		list, err := runCheckpatch(ctx, a, src.Dir, s.Patches)
		if err != nil {
			return nil, err
		}
		r.Findings = append(r.Findings, list...)
	}
	r.countTopics(s)
	if len(r.Findings) > 0 {
		r.Outcome = outcome.Fail
	}
	return r, nil
}

func runCheckpatch(ctx context.Context, a *app, dir string, patches []*series.Patch) (diag.List, error) {
	files := make([]string, len(patches))
	for i, p := range patches {
		files[i] = p.File
	}
	bar := progress.New(a.err, "checkpatch", "patches", int64(len(files)))
	defer bar.Done()
	return checkpatch.Run(ctx, dir, files, func() { bar.Add(1) })
}

func (r *seriesCheck) countTopics(s *series.Series) {
	found := map[string]int{}
	for _, d := range r.Findings {
		found[d.File]++
	}
	for _, st := range s.Status() {
		t := topicCheck{Topic: st.Topic, Patches: st.Patches, Files: st.Existing.Files + st.New.Files,
			Added: st.Existing.Added + st.New.Added, Deleted: st.Existing.Deleted + st.New.Deleted}
		for _, p := range s.Topic(st.Topic) {
			t.Findings += found[p.File]
		}
		r.Topics = append(r.Topics, t)
	}
}

func (r *seriesCheck) text(w io.Writer) error {
	for _, d := range r.Findings {
		fmt.Fprintln(w, d.Error())
	}
	for _, d := range r.Moved {
		fmt.Fprintln(w, "note: "+d.Error())
	}
	if len(r.Findings) > 0 && len(r.Topics) == 0 {
		_, err := fmt.Fprintf(w, "fail: %s\n", plural(len(r.Findings), "finding", "findings"))
		return err
	}
	table := [][]string{{"TOPIC", " PATCHES", " FILES", " +", " -", "VERDICT"}}
	for _, t := range r.Topics {
		verdict := "pass"
		if t.Findings > 0 {
			verdict = "fail: " + plural(t.Findings, "finding", "findings")
		}
		table = append(table, []string{t.Topic, strconv.Itoa(t.Patches), strconv.Itoa(t.Files), strconv.Itoa(t.Added), strconv.Itoa(t.Deleted), verdict})
	}
	if err := rows(w, table); err != nil {
		return err
	}
	how := "apply to"
	if r.Patches == 1 {
		how = "applies to"
	}
	if r.Outcome != outcome.Pass {
		how = "checked against"
	}
	base := "Linux " + r.Base
	if r.Substitute {
		base += " (NOT the pinned release)"
	}
	if len(r.Moved) > 0 {
		fmt.Fprintf(w, "note: %s moved; kernlab tree and kernlab series export write the patches anew\n", plural(len(r.Moved), "hunk has", "hunks have"))
	}
	_, err := fmt.Fprintf(w, "%s: %s %s %s, in %d ms\n", r.Outcome, plural(r.Patches, "patch", "patches"), how, base, r.Took.Milliseconds())
	return err
}
