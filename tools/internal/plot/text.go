package plot

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/mattn/go-runewidth"
	"golang.org/x/perf/benchunit"

	"cloudkernel/tools/internal/measure"
)

// Text writes a report as tables for a terminal.
func Text(w io.Writer, r *measure.Report) error {
	var b strings.Builder
	for i := range r.Benchmarks {
		bench := &r.Benchmarks[i]
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s: %s\n  %s, %s; %s rig", bench.Name, bench.Summary, bench.Arch, orNone(bench.Machine), bench.Rig)
		if n := rounds(bench); bench.Rig == measure.Statistical && n > 0 {
			fmt.Fprintf(&b, ", %d samples each", n)
		}
		b.WriteString("\n")
		if bench.Outcome != "" {
			fmt.Fprintf(&b, "  %s: %s\n", bench.Outcome, strings.ReplaceAll(bench.Reason, "\n", "\n  "))
		}
		for _, t := range bench.Tables() {
			b.WriteString("\n")
			textTable(&b, t)
		}
		for _, br := range bench.Breaks {
			b.WriteString("\n")
			textBreakdown(&b, br)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func orNone(s string) string {
	if s == "" {
		return "no guest ran"
	}
	return s
}

func rounds(b *measure.Benchmark) int {
	n := 0
	for _, s := range b.Samples {
		n = max(n, s.Round+1)
	}
	return n
}

func textTable(b *strings.Builder, t measure.Table) {
	head := "  " + t.Metric.Unit
	if t.Metric.Better != "" {
		head += fmt.Sprintf(" (%s is better)", t.Metric.Better)
	}
	fmt.Fprintf(b, "%s: %s\n", head, t.Metric.What)
	grid := [][]string{{""}}
	for i, c := range t.Columns {
		grid[0] = append(grid[0], c)
		if i > 0 {
			grid[0] = append(grid[0], "")
		}
	}
	for _, row := range t.Rows {
		line := []string{row.Name}
		for i, c := range row.Cells {
			line = append(line, cellText(c, t.Metric.Unit))
			if i > 0 {
				line = append(line, deltaText(c))
			}
		}
		grid = append(grid, line)
	}
	writeGrid(b, grid)
}

// writeGrid writes rows with aligned columns: the first to the left, the
// others to the right.
func writeGrid(b *strings.Builder, grid [][]string) {
	var width []int
	for _, line := range grid {
		for i, s := range line {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], runewidth.StringWidth(s))
		}
	}
	for _, line := range grid {
		out := "   "
		for i, s := range line {
			pad := strings.Repeat(" ", width[i]-runewidth.StringWidth(s))
			if i == 0 {
				out += " " + s + pad
			} else {
				out += "  " + pad + s
			}
		}
		b.WriteString(strings.TrimRight(out, " ") + "\n")
	}
}

// scaled writes a value with a prefix that suits it and the unit's own word.
func scaled(v float64, unit string) string {
	tidy, u := benchunit.Tidy(v, unit)
	s := benchunit.Scale(tidy, benchunit.ClassOf(u))
	switch {
	case u == "%" || strings.HasSuffix(u, "-%"):
		return fmt.Sprintf("%.1f %%", v)
	case isTime(u):
		return spaced(s) + "s"
	}
	return s
}

// isTime reports whether a tidied unit is one of time, per whatever.
func isTime(u string) bool {
	u, _, _ = strings.Cut(u, "/")
	return u == "sec" || strings.HasSuffix(u, "-sec")
}

// spaced puts a space between a number and its prefix.
func spaced(s string) string {
	i := strings.LastIndexAny(s, "0123456789")
	return s[:i+1] + " " + s[i+1:]
}

// cellText writes the center and, of a sample, how wide its interval is.
func cellText(c *measure.Cell, unit string) string {
	if c == nil {
		return ""
	}
	s := scaled(c.Center, unit)
	if c.Exact {
		return s
	}
	if math.IsInf(c.Lo, 0) || math.IsInf(c.Hi, 0) {
		return s + " ± ∞"
	}
	if c.Center == 0 {
		return s
	}
	wide := math.Max(c.Hi-c.Center, c.Center-c.Lo) / math.Abs(c.Center) * 100
	return fmt.Sprintf("%s ± %.0f%%", s, wide)
}

// deltaText writes a difference as far as one may be claimed.
func deltaText(c *measure.Cell) string {
	if c == nil || c.Delta == nil {
		return ""
	}
	d := c.Delta
	if d.Verdict == measure.NoClaim {
		return "~"
	}
	if c.Exact {
		return percent(d.Rel)
	}
	return fmt.Sprintf("%s [%s, %s]", percent(d.Rel), percent(d.Lo), percent(d.Hi))
}

// percent writes a share with a sign, "-12.3%", and what is more than tenfold
// or less than a tenth as a factor.
func percent(x float64) string {
	switch {
	case math.IsInf(x, 0):
		return "∞"
	case x >= 9:
		return fmt.Sprintf("×%.4g", 1+x)
	case x <= -0.9 && x > -1:
		return fmt.Sprintf("÷%.4g", 1/(1+x))
	case math.Abs(x) >= 0.1:
		return fmt.Sprintf("%+.1f%%", x*100)
	}
	return fmt.Sprintf("%+.2f%%", x*100)
}

func textBreakdown(b *strings.Builder, br measure.Breakdown) {
	fmt.Fprintf(b, "  %s (%s)\n", br.Title, br.Variant)
	total := 0.0
	for _, p := range br.Parts {
		total += p.Value
	}
	var grid [][]string
	for _, p := range br.Parts {
		grid = append(grid, []string{p.Name, scaled(p.Value, br.Unit), fmt.Sprintf("%.1f%%", p.Value/total*100)})
	}
	writeGrid(b, grid)
}

// Changes writes how a report stands to a baseline.
func Changes(w io.Writer, changes []measure.Change, notes []string) error {
	var b strings.Builder
	grid := [][]string{}
	bad := 0
	for _, c := range changes {
		mark := ""
		if c.Regression {
			mark, bad = "REGRESSION", bad+1
		} else if c.New.Delta.Verdict == measure.Improved {
			mark = "better"
		}
		grid = append(grid, []string{
			fmt.Sprintf("%s %s %s %s", c.Bench, c.Arch, c.Variant, c.Name), c.Metric.Unit,
			cellText(c.Old, c.Metric.Unit), cellText(c.New, c.Metric.Unit), deltaText(c.New), mark,
		})
	}
	regressions := fmt.Sprintf("%d regressions", bad)
	if bad == 1 {
		regressions = "1 regression"
	}
	fmt.Fprintf(&b, "against the baseline: %d results, %s\n", len(changes), regressions)
	writeGrid(&b, grid)
	for _, n := range notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
