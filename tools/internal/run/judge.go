package run

import (
	"fmt"
	"slices"
	"strings"

	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
	"cloudkernel/tools/internal/splat"
)

// seen is what was seen of one unit. Judging needs nothing else.
type seen struct {
	// The guest's end, if it came before the unit's: Panic, BootFail, Infra,
	// or Fail for one that switched itself off; "" if it lived.
	end    outcome.Outcome
	endWhy string

	hang     string   // what did not answer, or took too long
	fails    []string // what did not hold
	skips    []string // what could not be judged
	subtests []result.Subtest

	splats  []splat.Splat
	dropped int      // splats beyond those kept
	last    []string // lines of the console
	console string   // its text, for expect.console
}

func (s *seen) fail(why string) { s.fails = append(s.fails, why) }
func (s *seen) skip(why string) { s.skips = append(s.skips, why) }

// ended notes that the guest is gone.
func (s *seen) ended(g *session, prefix string, err error) {
	o, why := g.ended(err)
	s.end, s.endWhy = o, prefix+why
}

// allower says why a splat is let pass (package known).
type allower func(kind splat.Kind, title string) (reason, expired string)

// judgement is what a unit comes to.
type judgement struct {
	outcome outcome.Outcome
	reason  string
	splats  []result.Splat // not decoded yet, in the order of seen.splats
}

// judge gives what was seen of a case its outcome. It is what the case makes of
// it: a panic that the case expects is a pass.
func judge(c *cases.Case, s *seen, allow allower) judgement {
	j := judgement{splats: make([]result.Splat, len(s.splats))}
	j.outcome, j.reason = j.plain(c, s, allow)
	if c.Want() == outcome.Pass {
		if j.outcome == outcome.Pass {
			if why := missing(c, s); why != "" {
				return judgement{outcome.Fail, why, j.splats}
			}
		}
		return j
	}
	why := ""
	switch {
	case j.outcome != c.Want():
		why = fmt.Sprintf("judged %s%s, but %s was expected", j.outcome, because(j.reason), c.Want())
	case c.Expect.Reason.Regexp != nil && !c.Expect.Reason.MatchString(j.reason):
		why = fmt.Sprintf("judged %s as expected, but for another reason than %s: %s", j.outcome, c.Expect.Reason, j.reason)
	default:
		why = missing(c, s)
	}
	if why != "" {
		return judgement{outcome.Fail, why, j.splats}
	}
	for i := range j.splats {
		j.splats[i].Allowed = "expected by the case"
	}
	return judgement{outcome.Pass, "", j.splats}
}

// plain judges as if nothing but a good end were expected, heaviest first.
func (j *judgement) plain(c *cases.Case, s *seen, allow allower) (outcome.Outcome, string) {
	bad := j.weigh(c, s, allow)
	switch {
	case bad != "":
		return outcome.Panic, bad
	case s.end == outcome.Panic:
		return outcome.Panic, s.endWhy // what killed it is not on the console
	case s.hang != "":
		return outcome.Hang, s.hang
	case s.end != "":
		return s.end, s.endWhy
	}
	if len(s.fails) > 0 {
		return outcome.Fail, strings.Join(s.fails, "; ")
	}
	return subtests(s)
}

// weigh fills in the splats and returns the title of one that is not let pass,
// one that killed the kernel before others, or "".
func (j *judgement) weigh(c *cases.Case, s *seen, allow allower) string {
	bad, fatal := "", false
	for i, sp := range s.splats {
		j.splats[i] = result.Splat{Kind: string(sp.Kind), Title: sp.Title, Text: strings.Join(sp.Text, "\n")}
		allowed, expired := allow(sp.Kind, sp.Title)
		if c.Want() == outcome.Pass && slices.ContainsFunc(c.Expect.Splats, func(w cases.Splat) bool { return w.Matches(sp.Kind, sp.Title) }) {
			allowed = "expected by the case"
		}
		j.splats[i].Allowed = allowed
		if allowed != "" && !sp.Fatal {
			continue
		}
		if bad == "" || (sp.Fatal && !fatal) {
			bad, fatal = sp.Title, sp.Fatal
			if expired != "" {
				bad += " (" + expired + ")"
			}
		}
	}
	if bad == "" && s.dropped > 0 {
		bad = fmt.Sprintf("%d more splats than are kept", s.dropped)
	}
	return bad
}

// subtests judges by the parts alone.
func subtests(s *seen) (outcome.Outcome, string) {
	var bad, skipped []string
	passed := 0
	for _, t := range s.subtests {
		switch {
		case t.Outcome.Bad():
			bad = append(bad, t.Name+because(t.Reason))
		case t.Outcome == outcome.Skip:
			skipped = append(skipped, t.Name+because(t.Reason))
		default:
			passed++
		}
	}
	switch {
	case len(bad) == 1:
		return outcome.Fail, bad[0]
	case len(bad) > 1:
		return outcome.Fail, fmt.Sprintf("%d of %d failed, first %s", len(bad), len(s.subtests), bad[0])
	case len(s.skips) > 0:
		return outcome.Skip, strings.Join(s.skips, "; ")
	case passed == 0 && len(skipped) == 1:
		return outcome.Skip, skipped[0]
	case passed == 0 && len(skipped) > 0:
		return outcome.Skip, fmt.Sprintf("all %d were skipped, first %s", len(skipped), skipped[0])
	}
	return outcome.Pass, ""
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// missing returns what the case expects beside the outcome and did not come.
func missing(c *cases.Case, s *seen) string {
	for _, w := range c.Expect.Splats {
		if !w.Optional && !slices.ContainsFunc(s.splats, func(sp splat.Splat) bool { return w.Matches(sp.Kind, sp.Title) }) {
			return "the expected splat did not come: " + describe(w) + "; " + came(s)
		}
	}
	if why := c.Expect.Console.Check(s.console); why != "" {
		return "the console " + why
	}
	return ""
}

func describe(w cases.Splat) string {
	return strings.TrimSpace(string(w.Kind) + " " + w.Title.String())
}

func came(s *seen) string {
	if len(s.splats) == 0 {
		return "none came"
	}
	var titles []string
	for _, sp := range s.splats {
		titles = append(titles, string(sp.Kind)+" "+sp.Title)
	}
	return "what came: " + strings.Join(titles, ", ")
}

// decoded checks what a case expects of the decoded text, which is not there
// before its splats are known. It returns what does not hold, or "".
func decoded(c *cases.Case, splats []result.Splat) string {
	for _, w := range c.Expect.Splats {
		if w.Decoded.Regexp == nil {
			continue
		}
		ok := w.Optional
		for _, sp := range splats {
			if w.Matches(splat.Kind(sp.Kind), sp.Title) && w.Decoded.MatchString(sp.Decoded) {
				ok = true
			}
		}
		if !ok {
			return fmt.Sprintf("no decoded splat %s has a match of %s", describe(w), w.Decoded)
		}
	}
	return ""
}
