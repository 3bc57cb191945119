package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// How much of a failure a text report shows; the rest is in the logs.
const (
	maxSubtests     = 15
	maxSplatLines   = 30
	maxConsoleLines = 12
)

// TextOptions say how a text report looks.
type TextOptions struct {
	Color bool
	Width int // columns of the terminal; 0 for no limit
}

// Text writes the report for people: what ran on what, a table of cases, all
// that helps with each one that is not a pass, the features that were proved,
// and the counts alone on the last line.
func Text(w io.Writer, r *result.Run, opt TextOptions) error {
	t := &text{opt: opt}
	t.header(r)
	t.cases(r)
	for i := range r.Cases {
		t.details(&r.Cases[i])
	}
	t.features(r)
	t.closing(r)
	_, err := io.WriteString(w, t.b.String())
	return err
}

type text struct {
	b   strings.Builder
	opt TextOptions
}

func (t *text) paint(color, s string) string { return paint(t.opt.Color, color, s) }

func (t *text) header(r *result.Run) {
	for _, k := range r.Kernels {
		key := k.Key
		if len(key) > 12 {
			key = key[:12]
		}
		fmt.Fprintf(&t.b, "kernel   %s %s: %s (%s)\n", k.Arch, k.Profile, clean(k.Release), key)
	}
	if r.Machine != "" {
		fmt.Fprintf(&t.b, "machine  %s\n", clean(r.Machine))
	}
	if t.b.Len() > 0 {
		t.b.WriteByte('\n')
	}
}

// cases writes the table. The reason is the last column, cut to the terminal.
func (t *text) cases(r *result.Run) {
	if len(r.Cases) == 0 {
		t.b.WriteString("no case was judged\n\n")
		return
	}
	rows := table{t: t, head: []string{"CASE", "KERNEL", "VERDICT", "TIME", ""}, right: 3}
	for i := range r.Cases {
		c := &r.Cases[i]
		word, color := verdict(c)
		rows.add(color, 2, c.Name, on(c), word, seconds(c.Duration), remark(c))
	}
	rows.write()
	t.b.WriteByte('\n')
}

// remark is what the table says of a case beside its verdict.
func remark(c *result.Case) string {
	var parts []string
	if c.Repeat != nil {
		parts = append(parts, fmt.Sprintf("%d of %d runs passed", c.Repeat.Passed, c.Repeat.Runs))
	}
	switch {
	case c.Reason != "":
		parts = append(parts, clean(c.Reason))
	case len(c.Subtests) > 0:
		parts = append(parts, subtestCount(c))
	}
	if k := c.Known; k != nil && k.Passed {
		parts = append(parts, "a known failure that passed: its entry can go")
	}
	return strings.Join(parts, "; ")
}

func subtestCount(c *result.Case) string {
	passed, skipped := 0, 0
	for _, s := range c.Subtests {
		switch s.Outcome {
		case outcome.Pass:
			passed++
		case outcome.Skip:
			skipped++
		}
	}
	s := fmt.Sprintf("%d of %d subtests passed", passed, len(c.Subtests))
	if skipped > 0 {
		s += fmt.Sprintf(", %d skipped", skipped)
	}
	return s
}

// details writes everything that helps with a case that is not a pass.
func (t *text) details(c *result.Case) {
	if c.Outcome == outcome.Pass {
		return
	}
	word, color := verdict(c)
	title := fmt.Sprintf("%s on %s: %s", c.Name, on(c), word)
	fmt.Fprintf(&t.b, "%s\n", t.paint(color, title))
	if c.Reason != "" {
		fmt.Fprintf(&t.b, "  %s\n", clean(c.Reason))
	}
	if k := c.Known; k != nil {
		what := "known until " + k.Expiry
		if k.Expired {
			what = "was known until " + k.Expiry + ", which is over"
		}
		fmt.Fprintf(&t.b, "  %s: %s %s\n", what, clean(k.Reason), clean(k.Link))
	}
	if c.Repeat != nil {
		fmt.Fprintf(&t.b, "  %d of %d runs passed: %s\n", c.Repeat.Passed, c.Repeat.Runs, joinOutcomes(c.Repeat.Outcomes))
	}
	t.subtests(c)
	for _, s := range c.Splats {
		t.splat(s)
	}
	// A skip is explained by its reason; what the console said is no help.
	if c.Outcome.Bad() {
		t.excerpt("the console's last lines", tail(beside(c), maxConsoleLines), 0)
	}
	if c.Log != "" && c.Outcome.Bad() {
		fmt.Fprintf(&t.b, "  logs       %s\n", c.Log)
	}
	if c.Repro != "" {
		fmt.Fprintf(&t.b, "  reproduce  %s\n", t.paint(bold, c.Repro))
	}
	t.b.WriteByte('\n')
}

func (t *text) subtests(c *result.Case) {
	var bad []string
	for _, s := range c.Subtests {
		if s.Outcome.Bad() {
			line := fmt.Sprintf("%s: %s", s.Outcome, clean(s.Name))
			if s.Reason != "" {
				line += ": " + clean(s.Reason)
			}
			bad = append(bad, line)
		}
	}
	t.excerpt(fmt.Sprintf("subtests that did not pass, of %d", len(c.Subtests)), head(bad, maxSubtests), len(bad)-maxSubtests)
}

func (t *text) splat(s result.Splat) {
	title := "splat (" + s.Kind + "): " + clean(s.Title)
	if s.Allowed != "" {
		fmt.Fprintf(&t.b, "  %s, allowed: %s\n", title, clean(s.Allowed))
		return
	}
	body := s.Decoded
	if body == "" {
		body = s.Text
	}
	lines := strings.Split(strings.TrimRight(body, "\n"), "\n")
	t.excerpt(title, head(lines, maxSplatLines), len(lines)-maxSplatLines)
}

// beside returns the lines of the console that no splat shows.
func beside(c *result.Case) []string {
	var shown []string
	for _, s := range c.Splats {
		if s.Allowed == "" {
			shown = append(shown, strings.Split(s.Text, "\n")...)
		}
	}
	return slices.DeleteFunc(slices.Clone(c.Console), func(line string) bool { return slices.Contains(shown, line) })
}

// excerpt writes lines under a title, each behind a bar, and how many more
// there are.
func (t *text) excerpt(title string, lines []string, more int) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(&t.b, "  %s\n", title)
	for _, l := range lines {
		fmt.Fprintf(&t.b, "  | %s\n", strings.TrimRight(clean(l), " "))
	}
	if more > 0 {
		fmt.Fprintf(&t.b, "  | … and %d more\n", more)
	}
}

func (t *text) closing(r *result.Run) {
	var known, flaky int
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Outcome.Bad() && !c.Bad() {
			known++
		}
		if c.Flaky() {
			flaky++
		}
	}
	if known > 0 {
		fmt.Fprintf(&t.b, "Of the skipped, %d failed as it is known to.\n", known)
	}
	if flaky > 0 {
		fmt.Fprintf(&t.b, "Flaky: %d ended differently when run again.\n", flaky)
	}
	if r.Interrupted {
		t.b.WriteString("Interrupted: not every case was judged.\n")
	}
	color := green
	if o := r.Outcome(); o.Bad() {
		color = red
	} else if o == outcome.Skip {
		color = yellow
	}
	word := string(r.Outcome())
	if r.Interrupted && !r.Outcome().Bad() {
		word = "interrupted"
	}
	fmt.Fprintf(&t.b, "%s in %s\n", t.paint(color, word), clock(r.Duration))
	// Programs read this line: it stands alone and has no colour.
	fmt.Fprintf(&t.b, "%s\n", CountOf(r))
}

// table lays out rows in columns two blanks apart.
type table struct {
	t     *text
	head  []string
	right int // column that is set to the right; 0 for none
	rows  []tableRow
}

type tableRow struct {
	cells []string
	color string
	at    int // the cell that is coloured
}

func (tb *table) add(color string, at int, cells ...string) {
	tb.rows = append(tb.rows, tableRow{cells, color, at})
}

func (tb *table) write() {
	width := make([]int, len(tb.head))
	for _, row := range append([]tableRow{{cells: tb.head}}, tb.rows...) {
		for i, c := range row.cells {
			width[i] = max(width[i], runewidth.StringWidth(c))
		}
	}
	tb.line(tableRow{cells: tb.head, color: faint, at: -1}, width)
	for _, row := range tb.rows {
		tb.line(row, width)
	}
}

func (tb *table) line(row tableRow, width []int) {
	var cells []string
	left := tb.t.opt.Width
	for i, c := range row.cells {
		last := i == len(row.cells)-1
		switch {
		case last && tb.t.opt.Width > 0:
			// With hardly any room left the terminal may wrap: half a word helps nobody.
			c = fit(c, max(left, 20))
		case last:
		case i == tb.right && tb.right > 0:
			c = strings.Repeat(" ", width[i]-runewidth.StringWidth(c)) + c
		default:
			c = pad(c, width[i])
		}
		left -= width[i] + 2
		if i == row.at {
			// The blanks after the word stay plain.
			word := strings.TrimRight(c, " ")
			c = tb.t.paint(row.color, word) + c[len(word):]
		}
		cells = append(cells, c)
	}
	line := strings.TrimRight(strings.Join(cells, "  "), " ")
	if row.at < 0 {
		line = tb.t.paint(row.color, line)
	}
	tb.t.b.WriteString(line + "\n")
}

func joinOutcomes(os []outcome.Outcome) string {
	words := make([]string, len(os))
	for i, o := range os {
		words[i] = string(o)
	}
	return strings.Join(words, " ")
}

func head(lines []string, n int) []string { return lines[:min(n, len(lines))] }
func tail(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

// Details returns what Text says of one case that is not a pass, without
// colours; "" of a pass.
func Details(c *result.Case) string {
	t := &text{}
	t.details(c)
	return t.b.String()
}
