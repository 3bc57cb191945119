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
	k := &ktapWriter{}
	k.line(0, "KTAP version 1")
	k.line(0, "1..%d", len(r.Cases))
	for i := range r.Cases {
		k.testcase(i+1, &r.Cases[i])
	}
	_, err := io.WriteString(w, k.b.String())
	return err
}

// separator joins the names on the path to a subtest: result.Subtest.
const separator = " > "

type ktapWriter struct{ b strings.Builder }

func (k *ktapWriter) line(depth int, format string, args ...any) {
	k.b.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(&k.b, format+"\n", args...)
}

func (k *ktapWriter) testcase(number int, c *result.Case) {
	name := c.Name + " on " + on(c)
	root := ktapNode{name: name}
	for i := range c.Subtests {
		root.add(strings.Split(c.Subtests[i].Name, separator), &c.Subtests[i])
	}
	known := ""
	if c.Outcome.Bad() && !c.Bad() {
		known = c.Known.Reason
	}
	root.write(k, 1, known)
	if c.Outcome != outcome.Pass {
		if c.Reason != "" {
			k.line(0, "# reason: %s", ktapText(c.Reason))
		}
		for _, s := range c.Splats {
			k.line(0, "# splat (%s): %s", s.Kind, ktapText(s.Title))
		}
		if c.Repro != "" {
			k.line(0, "# reproduce: %s", ktapText(c.Repro))
		}
	}
	k.verdict(0, number, name, c.Outcome, c.Reason, known)
}

// verdict writes the result line of a test. known is why its failure was
// expected, "" if it was not. The directives are those that ktap.rst names.
func (k *ktapWriter) verdict(depth, number int, name string, o outcome.Outcome, reason, known string) {
	ok, directive := "not ok", ""
	switch {
	case o == outcome.Pass:
		ok = "ok"
	case o == outcome.Skip:
		ok, directive = "ok", strings.TrimRight(" # SKIP "+ktapText(reason), " ")
	case known != "":
		// As kselftest has it, an expected failure is "ok".
		ok, directive = "ok", " # XFAIL "+ktapText(known)
	case o == outcome.Hang:
		directive = " # TIMEOUT"
	case o == outcome.Infra:
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

func (n *ktapNode) write(k *ktapWriter, depth int, known string) {
	if len(n.children) == 0 {
		return
	}
	k.line(depth, "KTAP version 1")
	k.line(depth, "# Subtest: %s", ktapName(n.name))
	k.line(depth, "1..%d", len(n.children))
	for i, c := range n.children {
		c.write(k, depth+1, known)
		reason := ""
		if c.leaf != nil {
			reason = c.leaf.Reason
			if c.leaf.Outcome.Bad() && reason != "" {
				k.line(depth, "# reason: %s", ktapText(reason))
			}
		}
		k.verdict(depth, i+1, c.name, c.outcome(), reason, known)
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

// nameless are characters that readers of names do not agree on: a number sign
// begins a directive, a backslash escapes the next character for some.
var nameless = strings.NewReplacer("#", "_", `\`, "_")

// ktapName makes text a test's name. A dash at its start would be taken as the
// one that may stand before a name.
func ktapName(s string) string {
	s = nameless.Replace(ktapText(s))
	s = strings.TrimLeft(strings.Join(strings.Fields(s), " "), "- ")
	if s == "" {
		return "unnamed"
	}
	return s
}
