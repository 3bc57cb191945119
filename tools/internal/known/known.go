// Package known reads the lists of what is known to go wrong: ci/known-failures.yaml
// and ci/allowed-splats.yaml.
//
// An entry is a debt with a date. It says what it covers, why, where the story
// is told, and the last day on which it counts; after that day the failure
// counts again and says that the entry has expired. So nothing is forgotten
// that was only meant to wait.
package known

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
	"cloudkernel/tools/internal/splat"
	"cloudkernel/tools/internal/yamlfile"
)

// Debt is what every entry says.
type Debt struct {
	Reason  string `yaml:"reason"`
	Link    string `yaml:"link"`
	Expires string `yaml:"expires"` // 2026-12-31: the last day on which it counts

	// Which runs it is about; empty is all.
	Case    string `yaml:"case"` // glob over topic/case
	Arch    string `yaml:"arch"`
	Profile string `yaml:"profile"`

	last time.Time // the end of the last day, UTC
}

// Failure is an entry of known-failures.yaml.
type Failure struct {
	Debt    `yaml:",inline"`
	Subtest string        `yaml:"subtest"` // glob over subtests; empty: the case as a whole
	Outcome cases.Outcome `yaml:"outcome"` // empty: any
}

// Allowed is an entry of allowed-splats.yaml.
type Allowed struct {
	Debt  `yaml:",inline"`
	Kind  cases.Kind   `yaml:"kind"`
	Title cases.Regexp `yaml:"title"` // of the whole title
}

// Lists are both lists, as they count at one time.
type Lists struct {
	Failures []Failure
	Allowed  []Allowed
	Now      time.Time
}

// Load reads the lists in dir, which is the repository's ci. A list that is not
// there is empty. name makes a file's name for diagnostics.
func Load(dir string, now time.Time) (*Lists, error) {
	l := &Lists{Now: now}
	var diags diag.List
	for _, list := range []struct {
		file string
		read func(string, []byte) error
	}{
		{"known-failures.yaml", l.readFailures},
		{"allowed-splats.yaml", l.readAllowed},
	} {
		data, err := os.ReadFile(path.Join(dir, list.file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if onlyComments(data) {
			continue
		}
		err = list.read(path.Join(path.Base(dir), list.file), data)
		var found diag.List
		if errors.As(err, &found) {
			diags = append(diags, found...)
		} else if err != nil {
			return nil, err
		}
	}
	return l, diags.Err()
}

// onlyComments reports whether a list is empty but for what it says to its
// readers.
func onlyComments(data []byte) bool {
	for line := range strings.Lines(string(data)) {
		if s := strings.TrimSpace(line); s != "" && !strings.HasPrefix(s, "#") {
			return false
		}
	}
	return true
}

func (l *Lists) readFailures(name string, data []byte) error {
	f, err := yamlfile.Decode(name, data, &l.Failures)
	if err != nil {
		return err
	}
	var diags diag.List
	for i := range l.Failures {
		e := &l.Failures[i]
		diags = append(diags, e.check(f, i)...)
		if e.Case == "" {
			diags = append(diags, f.At(fmt.Sprintf("$[%d]", i), "no case", "add 'case: topic/case', a glob"))
		}
	}
	return diags.Err()
}

func (l *Lists) readAllowed(name string, data []byte) error {
	f, err := yamlfile.Decode(name, data, &l.Allowed)
	if err != nil {
		return err
	}
	var diags diag.List
	for i := range l.Allowed {
		e := &l.Allowed[i]
		diags = append(diags, e.check(f, i)...)
		if e.Title.Regexp == nil {
			diags = append(diags, f.At(fmt.Sprintf("$[%d]", i), "no title", "add 'title:', a regular expression of the whole title"))
		}
	}
	return diags.Err()
}

// check reads what Debt holds and returns what is wrong with it.
func (d *Debt) check(f *yamlfile.File, i int) (l diag.List) {
	bad := func(key, msg, hint string) { l = append(l, f.At(fmt.Sprintf("$[%d].%s", i, key), msg, hint)) }
	if strings.TrimSpace(d.Reason) == "" {
		bad("reason", "no reason", "say why this is let pass")
	}
	if u, err := url.Parse(d.Link); err != nil || u.Scheme == "" || u.Host == "" {
		bad("link", "no link", "say where the story is told: https://…")
	}
	last, err := time.Parse(time.DateOnly, d.Expires)
	if err != nil {
		bad("expires", "no last day", "write expires: 2026-12-31")
	}
	d.last = last.AddDate(0, 0, 1)
	if _, err := path.Match(d.Case, ""); err != nil {
		bad("case", err.Error(), "")
	}
	return l
}

func (d *Debt) about(name, arch, profile string) bool {
	if ok, _ := path.Match(d.Case, name); d.Case != "" && !ok {
		return false
	}
	return (d.Arch == "" || d.Arch == arch) && (d.Profile == "" || d.Profile == profile)
}

func (d *Debt) known(now time.Time) *result.Known {
	return &result.Known{Reason: d.Reason, Link: d.Link, Expiry: d.Expires, Expired: !now.Before(d.last)}
}

// Allow returns why a splat in a case is let pass, or "". expired is the
// reason with the entry's day if one covers the splat no longer.
func (l *Lists) Allow(c *result.Case, kind splat.Kind, title string) (reason, expired string) {
	for i := range l.Allowed {
		e := &l.Allowed[i]
		if !e.about(c.Name, c.Arch, c.Profile) || (e.Kind != "" && splat.Kind(e.Kind) != kind) || !e.Title.Whole(title) {
			continue
		}
		if !l.Now.Before(e.last) {
			expired = fmt.Sprintf("allowed until %s: %s", e.Expires, e.Reason)
			continue
		}
		return e.Reason, ""
	}
	return "", expired
}

// Judge sets Known of a case that was judged, if entries are about it: the
// failure they know of happened, or no longer does.
func (l *Lists) Judge(c *result.Case) {
	var about []*Failure
	for i := range l.Failures {
		if e := &l.Failures[i]; e.about(c.Name, c.Arch, c.Profile) {
			about = append(about, e)
		}
	}
	switch {
	case c.Outcome.Bad():
		c.Known = l.covering(about, c)
	case c.Outcome == outcome.Pass:
		for _, e := range about {
			if e.passed(c) {
				c.Known = e.known(l.Now)
				c.Known.Passed = true
				return
			}
		}
	}
}

// covering returns what is known of a failure: an entry about the case as a
// whole, or entries about every subtest that failed. One that has expired is
// second choice.
func (l *Lists) covering(about []*Failure, c *result.Case) *result.Known {
	var best *result.Known
	for _, e := range about {
		if e.Subtest == "" && e.of(c.Outcome) {
			if k := e.known(l.Now); best == nil || best.Expired {
				best = k
			}
		}
	}
	if c.Outcome != outcome.Fail || (best != nil && !best.Expired) {
		return best
	}
	var all *result.Known
	for _, s := range c.Subtests {
		if !s.Outcome.Bad() {
			continue
		}
		var k *result.Known
		for _, e := range about {
			if e.Subtest != "" && e.names(s.Name) && e.of(s.Outcome) && (k == nil || k.Expired) {
				k = e.known(l.Now)
			}
		}
		if k == nil {
			return best // a failure nobody knows of
		}
		if all == nil || k.Expired {
			all = k
		}
	}
	if all != nil {
		return all
	}
	return best
}

// passed reports whether what e says fails has passed.
func (e *Failure) passed(c *result.Case) bool {
	if e.Subtest == "" {
		return true
	}
	for _, s := range c.Subtests {
		if e.names(s.Name) && s.Outcome == outcome.Pass {
			return true
		}
	}
	return false
}

func (e *Failure) names(subtest string) bool {
	ok, _ := path.Match(e.Subtest, subtest)
	return ok
}

func (e *Failure) of(o outcome.Outcome) bool {
	return e.Outcome == "" || outcome.Outcome(e.Outcome) == o
}
