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
	Cases   []string        // the cases that judge it, "name on arch profile"
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
		list[at].Cases = append(list[at].Cases, c.Name+" on "+on(c))
	}
	return list
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
		rows.add(color, 1, clean(f.Name), word, strings.Join(f.Cases, ", "))
	}
	rows.write()
	t.b.WriteByte('\n')
}
