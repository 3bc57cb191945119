package ktap

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cloudkernel/tools/internal/outcome"
)

const (
	maxDepth       = 64   // groups open at once; a deeper one is read as a diagnostic
	maxDiagnostics = 1000 // lines kept before one result
	maxListed      = 10   // missing numbers named in a reason
)

// Parser reads a stream line by line. The zero value is ready.
type Parser struct {
	split  splitter
	stack  []*group // by column, the leftmost first
	done   []*Test  // results of documents that ended: the root's children
	bailed bool
	why    string // what was said when bailing out
	seen   bool
	last   time.Duration // guest time of the line before, if stamped
	yaml   int           // column of an open YAML block, -1 outside; see block
	inYAML bool
}

// group is a level of the tree that is still being read.
type group struct {
	column int
	name   string // from "# Subtest:"
	plan   int    // -1 until there is one
	skip   string // reason of "1..0 # SKIP reason"
	tests  []*Test
	diags  []string
	below  []*Test // results of deeper groups that wait for their parent's

	belowName string // what those called themselves: "# Subtest: name"
}

// Parse reads a whole stream. The returned root has no name; its children are
// the results at the outermost level, of all documents in the stream. found is
// false if the stream held no KTAP at all.
func Parse(r io.Reader) (root *Test, found bool, err error) {
	var p Parser
	in := bufio.NewReader(r)
	for {
		text, err := in.ReadString('\n')
		if text != "" {
			p.Line(text)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, false, err
		}
	}
	root = p.End()
	return root, p.Found(), nil
}

// Found reports whether a line was KTAP so far.
func (p *Parser) Found() bool { return p.seen }

// Line reads one line of the stream.
func (p *Parser) Line(raw string) {
	for _, piece := range p.split.line(raw) {
		p.piece(piece)
	}
}

// End returns the tree. What was promised and did not come is in it as failed.
func (p *Parser) End() *Test {
	for _, piece := range p.split.end() {
		p.piece(piece)
	}
	p.closeAll()
	return &Test{Outcome: sum(p.done), Children: p.done}
}

func (p *Parser) piece(in piece) {
	l := parseLine(in.text)
	if head, tail, ok := p.glued(in.text, l); ok {
		p.diagnostic(head)
		in.text, l = tail, parseLine(tail)
	}
	if p.bailed || p.block(in.text, l) {
		p.diagnostic(in.text)
		return
	}
	switch l.kind {
	case isVersion:
		p.version(l)
	case isPlan:
		if g := p.at(l, true); g != nil {
			g.setPlan(l)
		} else {
			p.diagnostic(in.text)
		}
	case isHeader:
		if g := p.at(l, false); g != nil {
			g.name = l.name
		} else {
			p.diagnostic(in.text)
		}
	case isResult:
		if g := p.at(l, false); g != nil && p.credible(g, l) {
			g.result(l, p.elapsed(in.at))
		} else {
			p.diagnostic(in.text)
		}
	case isBail:
		p.seen, p.bailed, p.why = true, true, l.name
	default:
		p.diagnostic(in.text)
	}
	if in.at >= 0 && l.kind != isOther {
		p.last = in.at
	}
}

// gluedRE finds a result behind text that its program forgot to end.
var gluedRE = regexp.MustCompile(`[^\s#\pL](?:not ok|ok) (\d+)(?:\s|$)`)

// glued takes "Diff too high: 3123710..not ok 1 ITIMER_VIRTUAL" apart: a result
// that stands right behind other text that is no word, and has the number that comes next.
func (p *Parser) glued(text string, l line) (head, tail string, ok bool) {
	g := p.top()
	if g == nil || g.plan < 0 || l.kind != isOther {
		return "", "", false
	}
	next := 1
	if n := len(g.tests); n > 0 {
		next = g.tests[n-1].Number + 1
	}
	for _, m := range gluedRE.FindAllStringSubmatchIndex(text, -1) {
		if text[m[2]:m[3]] == strconv.Itoa(next) {
			cut := m[0] + 1
			for !utf8.RuneStart(text[cut]) {
				cut++ // the byte before was the first of several
			}
			return text[:cut], strings.Repeat(" ", g.column) + text[cut:], true
		}
	}
	return "", "", false
}

// elapsed returns the guest time since the KTAP line before.
func (p *Parser) elapsed(at time.Duration) time.Duration {
	if at < 0 || at < p.last {
		return 0
	}
	return at - p.last
}

// block reports whether text belongs to a YAML block of TAP 13 ("---" to
// "..."), in which nothing is a result.
func (p *Parser) block(text string, l line) bool {
	trimmed := strings.TrimSpace(text)
	column, _ := indent(text)
	switch {
	case !p.inYAML:
		if trimmed == "---" && column > 0 && len(p.stack) > 0 {
			p.inYAML, p.yaml = true, column
			return true
		}
		return false
	case trimmed == "..." || (column < p.yaml && l.kind != isOther):
		p.inYAML = false
		return trimmed == "..."
	}
	return true
}

// version opens a group, or a new document where one has results already.
func (p *Parser) version(l line) {
	p.popTo(l.column)
	if g := p.top(); g != nil && g.column == l.column {
		if len(g.tests) == 0 && g.plan < 0 && len(g.below) == 0 {
			return // said twice
		}
		p.pop()
	}
	p.push(l.column)
	p.seen = true
}

// at returns the group that a line belongs to, closing the deeper ones. A
// group that is not open is opened where the line may do so: always when opens
// is set (a plan), and otherwise at the outermost level or by indentation.
// "# ok 1" alone opens nothing, since programs write such things in prose.
func (p *Parser) at(l line, opens bool) *group {
	if g := p.top(); g == nil || l.column > g.column {
		if l.hash && !opens {
			return nil
		}
		if l.kind == isResult && l.n != 1 && g != nil {
			return nil
		}
		if l.kind == isHeader || l.n > 0 || opens || g == nil {
			return p.push(l.column)
		}
		return nil
	}
	for _, g := range p.stack {
		if g.column == l.column {
			p.popTo(l.column)
			return p.top()
		}
	}
	if l.hash && !opens {
		return nil
	}
	// Between two open columns: the deeper groups are this one's children.
	return p.push(l.column)
}

// credible reports whether a result line is one: without a number it counts
// only where a plan or a version line announced results ("ok then" is prose).
func (p *Parser) credible(g *group, l line) bool {
	if l.n > 0 || l.directive != "" {
		p.seen = true
		return true
	}
	return p.seen && (g.plan >= 0 || len(g.tests) > 0)
}

func (p *Parser) top() *group {
	if len(p.stack) == 0 {
		return nil
	}
	return p.stack[len(p.stack)-1]
}

// push opens a group at column, taking over the deeper ones as its children.
func (p *Parser) push(column int) *group {
	if len(p.stack) >= maxDepth {
		return nil
	}
	g := &group{column: column, plan: -1}
	var below []*Test
	for top := p.top(); top != nil && top.column > column; top = p.top() {
		p.stack = p.stack[:len(p.stack)-1]
		below = append(p.finish(top), below...)
		g.belowName = top.name
		g.diags = append(g.diags, top.diags...)
	}
	g.below = below
	p.stack = append(p.stack, g)
	return g
}

// popTo closes the groups right of column.
func (p *Parser) popTo(column int) {
	for g := p.top(); g != nil && g.column > column; g = p.top() {
		p.pop()
	}
}

func (p *Parser) pop() {
	g := p.top()
	p.stack = p.stack[:len(p.stack)-1]
	tests := p.finish(g)
	if parent := p.top(); parent != nil {
		parent.below = append(parent.below, tests...)
		parent.belowName = cmp.Or(g.name, parent.belowName)
		parent.diags = append(parent.diags, g.diags...)
		return
	}
	p.done = append(p.done, tests...)
}

func (p *Parser) closeAll() {
	for len(p.stack) > 0 {
		p.pop()
	}
	if p.bailed && len(p.done) == 0 {
		p.done = []*Test{{Name: "(bailed out)", Outcome: outcome.Fail, Reason: p.bailReason()}}
	}
}

func (p *Parser) bailReason() string {
	if p.why == "" {
		return "bailed out"
	}
	return "bailed out: " + p.why
}

// diagnostic keeps a line that is no KTAP for the next result.
func (p *Parser) diagnostic(text string) {
	g := p.top()
	if g == nil || strings.TrimSpace(text) == "" {
		return
	}
	if len(g.diags) >= maxDiagnostics {
		g.diags = slices.Delete(g.diags, 0, maxDiagnostics/2)
	}
	g.diags = append(g.diags, text)
}

func (g *group) setPlan(l line) {
	if g.plan < 0 {
		g.plan = l.n
		if l.n == 0 {
			g.skip = l.comment
		}
		return
	}
	if g.plan != l.n {
		g.tests = append(g.tests, &Test{Name: "(plan)", Outcome: outcome.Fail,
			Reason: fmt.Sprintf("two plans: 1..%d and 1..%d", g.plan, l.n)})
	}
}

// result adds a result, which takes the deeper ones read before it as its own.
func (g *group) result(l line, took time.Duration) {
	t := &Test{Number: l.n, Name: l.name, Children: g.below, Diagnostics: g.diags, Duration: took}
	if t.Number == 0 {
		t.Number = len(g.tests) + 1
	}
	t.judge(l)
	if n := len(g.tests); n > 0 && len(t.Children) == 0 && l.n > 0 {
		// A program that forks with its output unflushed says things twice.
		if prev := g.tests[n-1]; prev.Number == t.Number && prev.Name == t.Name && prev.Outcome == t.Outcome {
			return
		}
	}
	g.below, g.belowName, g.diags = nil, "", nil
	g.tests = append(g.tests, t)
}

// judge gives t the outcome that its line and its children have together.
func (t *Test) judge(l line) {
	t.Outcome, t.Reason = outcome.Fail, l.comment
	if l.ok {
		t.Outcome = outcome.Pass
	}
	expected := false
	switch l.directive {
	case "SKIP":
		t.Outcome = outcome.Skip
	case "TODO", "XFAIL":
		expected = true
		t.Outcome = outcome.Pass
		t.Reason = join("expected to fail", l.comment)
	case "XPASS":
		t.Reason = join("passed, but was expected to fail", l.comment)
	case "TIMEOUT":
		t.Outcome = outcome.Fail
		t.Reason = join("timed out", l.comment)
	case "ERROR":
		t.Reason = join("error", l.comment)
	}
	if t.Name == "" {
		// kselftest writes the name behind the directive: "ok 3 # SKIP name".
		t.Name = l.comment
		if t.Name == "" {
			t.Name = "test " + strconv.Itoa(t.Number)
		}
	}
	if t.Outcome != outcome.Fail && !expected && anyFailed(t.Children) {
		t.Outcome, t.Reason = outcome.Fail, "a subtest failed"
	}
	if t.Outcome == outcome.Fail && len(t.Children) == 0 {
		t.Reason = cmp.Or(assertion(t.Diagnostics), t.Reason)
	}
}

// assertionRE finds the place and text of a failed check, as KUnit and
// kselftest's harness write it.
var assertionRE = regexp.MustCompile(`(?:EXPECTATION|ASSERTION) FAILED at \S+|[\w./-]+:\d+:\w+:Expected .*`)

// assertion returns the first failed check among diagnostics, or "".
func assertion(diags []string) string {
	for i, d := range diags {
		m := assertionRE.FindString(d)
		if m == "" {
			continue
		}
		if strings.Contains(m, " FAILED at ") && i+1 < len(diags) {
			// KUnit says on the next line what was expected.
			m += ": " + strings.TrimSpace(strings.TrimLeft(diags[i+1], "# "))
		}
		return m
	}
	return ""
}

func join(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// finish returns the group's results, and a failing one for each thing that
// its plan promised and that did not come.
func (p *Parser) finish(g *group) []*Test {
	tests := g.tests
	if len(g.below) > 0 {
		// Children whose parent never reported.
		tests = append(tests, &Test{Name: cmp.Or(g.belowName, "(no result)"), Outcome: outcome.Fail, Children: g.below,
			Reason: "ended without a result of its own"})
		g.below = nil
	}
	if g.plan == 0 && len(tests) == 0 {
		tests = append(tests, &Test{Name: cmp.Or(g.name, "(no tests)"), Outcome: outcome.Skip, Reason: g.skip})
	}
	if why := g.problem(); why != "" {
		if p.bailed {
			why += "; " + p.bailReason()
		}
		tests = append(tests, &Test{Name: "(plan)", Outcome: outcome.Fail, Reason: why})
	} else if p.bailed && g.column == 0 {
		tests = append(tests, &Test{Name: "(bailed out)", Outcome: outcome.Fail, Reason: p.bailReason()})
	}
	return tests
}

// problem compares what came with what was planned. Results are counted by
// their numbers, so that one that came twice does not stand for one that did
// not come.
func (g *group) problem() string {
	if g.plan < 0 {
		return ""
	}
	numbers := map[int]bool{}
	var twice []string
	for _, t := range g.tests {
		if t.Number == 0 {
			continue
		}
		if numbers[t.Number] {
			twice = append(twice, strconv.Itoa(t.Number))
		}
		numbers[t.Number] = true
	}
	var parts []string
	if n := g.plan - len(numbers); n > 0 {
		var which []string
		for i := 1; i <= g.plan && len(which) < min(n, maxListed); i++ {
			if !numbers[i] {
				which = append(which, strconv.Itoa(i))
			}
		}
		if n > len(which) {
			which = append(which, "…")
		}
		parts = append(parts, fmt.Sprintf("missing %d of %d: %s", n, g.plan, strings.Join(which, ", ")))
	} else if n < 0 {
		parts = append(parts, fmt.Sprintf("%d results, but %d were planned", len(numbers), g.plan))
	}
	if len(twice) > 0 {
		parts = append(parts, "used twice: number "+strings.Join(twice[:min(len(twice), maxListed)], ", "))
	}
	return strings.Join(parts, "; ")
}
