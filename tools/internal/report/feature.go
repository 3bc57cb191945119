package report

import (
	"slices"
	"strings"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// Feature is one row of the README's table: what the series promises, and what
// a run says of it.
type Feature struct {
	Name    string
	Outcome outcome.Outcome // the worst of its cases
	Cases   []Judges        // the cases that judge it
}

// Judges are the cases that judge a feature on one kernel.
type Judges struct {
	Kernel string // "arm64 default"
	Names  []string
}

// Features returns the features that cases of the run judge, in the order in
// which they first come. A known failure proves nothing: its outcome counts as
// it is.
func Features(r *result.Run) []Feature {
	var list []Feature
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Feature == "" {
			continue
		}
		at := slices.IndexFunc(list, func(f Feature) bool { return f.Name == c.Feature })
		if at < 0 {
			at = len(list)
			list = append(list, Feature{Name: c.Feature, Outcome: c.Outcome})
		}
		list[at].Outcome = outcome.Worst(list[at].Outcome, c.Outcome)
		list[at].judgedBy(c)
	}
	return list
}

func (f *Feature) judgedBy(c *result.Case) {
	at := slices.IndexFunc(f.Cases, func(j Judges) bool { return j.Kernel == on(c) })
	if at < 0 {
		at = len(f.Cases)
		f.Cases = append(f.Cases, Judges{Kernel: on(c)})
	}
	f.Cases[at].Names = append(f.Cases[at].Names, c.Name)
}

// judges names the cases: "a/b, a/c on arm64 default; a/b on x86_64 default".
func (f *Feature) judges() string {
	var parts []string
	for _, j := range f.Cases {
		parts = append(parts, strings.Join(j.Names, ", ")+" on "+j.Kernel)
	}
	return strings.Join(parts, "; ")
}

// features writes what was proved of each feature.
func (t *text) features(r *result.Run) {
	list := Features(r)
	if len(list) == 0 {
		return
	}
	rows := table{t: t, head: []string{"FEATURE", "VERDICT", "JUDGED BY"}}
	for _, f := range list {
		word, color := strings.ToUpper(string(f.Outcome)), red
		switch f.Outcome {
		case outcome.Pass:
			word, color = "works", green
		case outcome.Skip:
			word, color = "not judged", yellow
		}
		rows.add(color, 1, clean(f.Name), word, f.judges())
	}
	rows.write()
	t.b.WriteByte('\n')
}
