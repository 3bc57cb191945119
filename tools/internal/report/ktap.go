package report

import (
	"fmt"
	"io"
	"strings"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// KTAP writes the report for the kernel's own tools, in the form of the
// kernel's Documentation/dev-tools/ktap.rst: one test a case, its subtests
// nested in it by their paths. Where a case is not a pass, diagnostic lines
// say why and how to see it again.
func KTAP(w io.Writer, r *result.Run) error {
	k := &ktap{}
	k.line(0, "KTAP version 1")
	k.line(0, "1..%d", len(r.Cases))
	for i := range r.Cases {
		k.testcase(i+1, &r.Cases[i])
	}
	_, err := io.WriteString(w, k.b.String())
	return err
}

type ktap struct{ b strings.Builder }

func (k *ktap) line(depth int, format string, args ...any) {
	k.b.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(&k.b, format+"\n", args...)
}

func (k *ktap) testcase(number int, c *result.Case) {
	var root ktapNode
	for i := range c.Subtests {
		root.add(strings.Split(c.Subtests[i].Name, " > "), &c.Subtests[i])
	}
	root.write(k, 1)
	name := c.Name + " on " + on(c)
	if c.Outcome != outcome.Pass {
		if c.Reason != "" {
			k.line(0, "# %s", ktapText(c.Reason))
		}
		for _, s := range c.Splats {
			k.line(0, "# splat (%s): %s", s.Kind, ktapText(s.Title))
		}
		if c.Repro != "" {
			k.line(0, "# reproduce: %s", ktapText(c.Repro))
		}
	}
	if c.Outcome.Bad() && !c.Bad() {
		// As kselftest does: an expected failure is "ok".
		k.line(0, "ok %d %s # XFAIL %s", number, ktapName(name), ktapText(c.Known.Reason))
		return
	}
	k.verdict(0, number, name, c.Outcome, c.Reason)
}

// verdict writes the result line of a test. The directives are those that
// ktap.rst names.
func (k *ktap) verdict(depth, number int, name string, o outcome.Outcome, reason string) {
	ok, directive := "not ok", ""
	switch o {
	case outcome.Pass:
		ok = "ok"
	case outcome.Skip:
		ok, directive = "ok", strings.TrimRight(" # SKIP "+ktapText(reason), " ")
	case outcome.Hang:
		directive = " # TIMEOUT"
	case outcome.Infra:
		directive = " # ERROR"
	}
	k.line(depth, "%s %d %s%s", ok, number, ktapName(name), directive)
}

// ktapNode is a test of a case's own, or a group of them.
type ktapNode struct {
	name     string
	children []*ktapNode
	leaf     *result.Subtest
}

func (n *ktapNode) add(path []string, s *result.Subtest) {
	if len(path) == 0 {
		n.leaf = s
		return
	}
	// A leaf of the same name is another test, as when a suite runs twice.
	if len(path) > 1 {
		for _, c := range n.children {
			if c.name == path[0] && c.leaf == nil {
				c.add(path[1:], s)
				return
			}
		}
	}
	c := &ktapNode{name: path[0]}
	n.children = append(n.children, c)
	c.add(path[1:], s)
}

func (n *ktapNode) write(k *ktap, depth int) {
	if len(n.children) == 0 {
		return
	}
	k.line(depth, "KTAP version 1")
	k.line(depth, "1..%d", len(n.children))
	for i, c := range n.children {
		c.write(k, depth+1)
		reason := ""
		if c.leaf != nil {
			reason = c.leaf.Reason
			if c.leaf.Outcome.Bad() && reason != "" {
				k.line(depth, "# %s", ktapText(reason))
			}
		}
		k.verdict(depth, i+1, c.name, c.outcome(), reason)
	}
}

// outcome of a group is the worst of its tests.
func (n *ktapNode) outcome() outcome.Outcome {
	if n.leaf != nil {
		return n.leaf.Outcome
	}
	var all []outcome.Outcome
	for _, c := range n.children {
		all = append(all, c.outcome())
	}
	return outcome.Worst(all...)
}

// ktapText makes free text one line.
func ktapText(s string) string { return clean(strings.ReplaceAll(s, "\n", " ")) }

// ktapName makes text a test's name: a number sign would begin a directive.
func ktapName(s string) string {
	s = strings.TrimSpace(strings.ReplaceAll(ktapText(s), "#", "_"))
	if s == "" {
		return "unnamed"
	}
	return s
}
