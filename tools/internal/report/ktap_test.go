package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/golden"
	"cloudkernel/tools/internal/ktap"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// expected returns what a KTAP report of r must say: for each case, its
// outcome and its subtests as KTAP can tell them.
func expected(r *result.Run) (cases, subtests []string) {
	word := func(c *result.Case, o outcome.Outcome) string {
		if c.Outcome.Bad() && !c.Bad() && o.Bad() {
			return "pass" // an expected failure
		}
		if o.Bad() {
			return "fail"
		}
		return string(o)
	}
	for i := range r.Cases {
		c := &r.Cases[i]
		name := ktapName(c.Name + " on " + on(c))
		cases = append(cases, word(c, c.Outcome)+" "+name)
		for _, s := range c.Subtests {
			subtests = append(subtests, word(c, s.Outcome)+" "+name+separator+s.Name)
		}
	}
	return cases, subtests
}

func TestKTAP(t *testing.T) {
	r := sample()
	r.Cases[6].Subtests = []result.Subtest{{Name: "a", Outcome: outcome.Pass}, {Name: "known", Outcome: outcome.Fail}}
	r.Cases[4].Subtests = append(r.Cases[4].Subtests[:2],
		result.Subtest{Name: "deep > er > est", Outcome: outcome.Fail, Reason: "ok 1 is no result here"},
		result.Subtest{Name: "deep > er > twin", Outcome: outcome.Pass},
		result.Subtest{Name: "deep > other", Outcome: outcome.Skip})
	var b bytes.Buffer
	if err := KTAP(&b, r); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/all.ktap", b.String())

	root, found, err := ktap.Parse(&b)
	if err != nil || !found {
		t.Fatalf("parse back: found %v, %v", found, err)
	}
	wantCases, wantSubtests := expected(r)
	var cases, subtests []string
	for _, c := range root.Children {
		cases = append(cases, string(c.Outcome)+" "+c.Name)
	}
	for _, s := range root.Subtests() {
		if strings.Count(s.Name, separator) > 0 {
			subtests = append(subtests, string(s.Outcome)+" "+s.Name)
		}
	}
	if d := cmp.Diff(wantCases, cases); d != "" {
		t.Errorf("cases (-written +read):\n%s", d)
	}
	if d := cmp.Diff(wantSubtests, subtests); d != "" {
		t.Errorf("subtests (-written +read):\n%s", d)
	}
}

// FuzzKTAP gives names and reasons any text at all: every case is read back
// with its outcome, and nothing else is.
func FuzzKTAP(f *testing.F) {
	f.Add("smoke/boot", "a > b", "ok 1 x # SKIP", 0, 1)
	f.Add("- dash", "not ok 2 #", "Bail out!", 2, 3)
	f.Add("\x1b[1m\n1..7", "KTAP version 1", "\n\n  1..3", 4, 5)
	outcomes := []outcome.Outcome{outcome.Pass, outcome.Fail, outcome.Skip, outcome.Panic, outcome.Hang, outcome.BootFail, outcome.Infra}
	f.Fuzz(func(t *testing.T, name, subtest, reason string, a, b int) {
		pick := func(n int) outcome.Outcome { return outcomes[(n%len(outcomes)+len(outcomes))%len(outcomes)] }
		sub := result.Subtest{Name: subtest, Outcome: pick(b), Reason: reason}
		r := &result.Run{Cases: []result.Case{
			{Name: name, Arch: "arm64", Profile: "default", Outcome: pick(a), Reason: reason, Repro: reason, Subtests: []result.Subtest{sub}},
			{Name: "last", Arch: "arm64", Profile: "default", Outcome: outcome.Pass},
		}}
		var buf bytes.Buffer
		if err := KTAP(&buf, r); err != nil {
			t.Fatal(err)
		}
		text := buf.String()
		root, _, err := ktap.Parse(&buf)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := expected(r)
		// A case that passed although a subtest did not is read as failed, rightly.
		if !r.Cases[0].Outcome.Bad() && sub.Outcome.Bad() {
			want[0] = strings.Replace(want[0], string(r.Cases[0].Outcome), "fail", 1)
		}
		var got []string
		for _, c := range root.Children {
			got = append(got, string(c.Outcome)+" "+c.Name)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-written +read):\n%s\n%s", d, text)
		}
	})
}
