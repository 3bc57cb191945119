package github

import (
	"fmt"
	"strings"
	"time"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/report"
	"cloudkernel/tools/internal/result"
)

// marker begins our comment, unseen, so that it is found again. A quotation of
// it in somebody's answer does not begin with it.
const marker = "<!-- cloudkernel: report of all lanes -->"

// maxComment keeps a comment below GitHub's 65,536 characters. It counts
// bytes, of which no text has fewer.
const maxComment = 64000

// Comment returns the text of the comment: a table of lanes, then what helps
// with each failure, the ends that weigh most first, as far as there is room.
func Comment(lanes []Lane, t Target) string {
	var top strings.Builder
	fmt.Fprintf(&top, "%s\n### cloudkernel: %s\n\n", marker, headline(lanes))
	top.WriteString("| lane | verdict | passed | failed | skipped | time |\n|---|---|--:|--:|--:|--:|\n")
	for i := range lanes {
		l := &lanes[i]
		n := report.CountOf(l.run())
		verdict := word(l.Outcome())
		if s := l.gap(); s != "" {
			verdict += ", " + s
		}
		fmt.Fprintf(&top, "| %s | %s | %d | %d | %d | %s |\n", cell(l.Name), verdict, n.Passed, n.Failed, n.Skipped, l.Duration.Round(time.Second))
	}
	top.WriteString("\n")

	bottom := "At " + short(t.SHA)
	if t.RunURL != "" {
		bottom += ", [full logs](" + t.RunURL + ")"
	}
	bottom += ".\n"

	room := maxComment - top.Len() - len(bottom)
	return top.String() + failures(lanes, room) + bottom
}

// failures writes the bad cases within room bytes: as many as fit by name and
// reproducer, and as many of those as then still fit with all that helps.
func failures(lanes []Lane, room int) string {
	room -= 100 // for the line that counts the rest
	cases := badCases(lanes)
	reserved := 0 // for the names of those that are still to come
	for _, c := range cases {
		reserved += len(brief(c))
	}
	var b strings.Builder
	for i, c := range cases {
		text := brief(c)
		reserved -= len(text)
		if b.Len()+len(text) > room {
			fmt.Fprintf(&b, "… and %d more failures, see the full logs.\n\n", len(cases)-i)
			break
		}
		b.WriteString(text)
		// Where not all names fit, details still get half of the room.
		if more := details(c); b.Len()+len(more)+min(reserved, room/2) <= room {
			b.WriteString(more)
		}
	}
	return b.String()
}

// badCases returns the failures of all lanes, the outcomes that weigh most first.
func badCases(lanes []Lane) []*result.Case {
	var list []*result.Case
	for _, o := range []outcome.Outcome{outcome.Panic, outcome.Hang, outcome.BootFail, outcome.Fail, outcome.Infra} {
		for i := range lanes {
			for j := range lanes[i].Cases {
				if c := &lanes[i].Cases[j]; c.Bad() && c.Outcome == o {
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// brief says which case it is, why, and how to see it again.
func brief(c *result.Case) string {
	s := fmt.Sprintf("%s: %s on %s %s", word(c.Outcome), code(c.Name), c.Arch, c.Profile)
	if c.Reason != "" {
		s += ": " + code(clip(c.Reason, 300))
	}
	if c.Repro != "" {
		s += "\\\nReproduce: " + code(c.Repro)
	}
	return s + "\n\n"
}

// details is all that the text report says of the case, folded away.
func details(c *result.Case) string {
	text := strings.TrimRight(report.Details(c), "\n")
	fence := fence(text)
	return fmt.Sprintf("<details><summary>details</summary>\n\n%stext\n%s\n%s\n</details>\n\n", fence, text, fence)
}

// headline says the whole in a few words.
func headline(lanes []Lane) string {
	var n report.Count
	var os []outcome.Outcome
	for i := range lanes {
		n = n.Add(report.CountOf(lanes[i].run()))
		os = append(os, lanes[i].Outcome())
	}
	worst := outcome.Worst(os...)
	if worst == outcome.Pass {
		return n.String()
	}
	return string(worst) + ", " + n.String()
}

func word(o outcome.Outcome) string {
	if o.Bad() {
		return "**" + string(o) + "**"
	}
	return string(o)
}

// code makes text a code span, in which nothing is markup and nobody is
// mentioned.
func code(s string) string {
	s = strings.NewReplacer("\n", " ", "\r", " ").Replace(s)
	if strings.TrimSpace(s) == "" {
		return "(none)"
	}
	ticks := longest(s, '`')
	if ticks == 0 {
		return "`" + s + "`"
	}
	quote := strings.Repeat("`", ticks+1)
	return quote + " " + s + " " + quote
}

// cell makes text a code span in a table, where a vertical bar would end the cell.
func cell(s string) string { return strings.ReplaceAll(code(s), "|", "\\|") }

// fence returns a fence that no line of the text can end.
func fence(s string) string { return strings.Repeat("`", max(3, longest(s, '`')+1)) }

// longest returns the length of the longest row of r in s.
func longest(s string, r rune) int {
	most, n := 0, 0
	for _, x := range s {
		if x == r {
			n++
			most = max(most, n)
		} else {
			n = 0
		}
	}
	return most
}

func short(sha string) string { return sha[:min(len(sha), 12)] }

// clip cuts s to n runes.
func clip(s string, n int) string {
	if rs := []rune(s); len(rs) > n {
		return string(rs[:n-1]) + "…"
	}
	return s
}
