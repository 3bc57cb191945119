package measure

import (
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"
)

// ByVariant is the key of comparison that stands for the variants.
const ByVariant = "variant"

// Table is one metric of a benchmark, with what is compared side by side.
type Table struct {
	Metric  Metric
	Columns []string // the first is what the others are compared with
	Rows    []Row
}

// Row is one result's name without the key that the columns are.
type Row struct {
	Name  string
	Cells []*Cell // one a column; nil where there is nothing
}

// Cell is what the samples of one result say.
type Cell struct {
	Values []float64 // in the order of the rounds
	Center float64   // the median, or the exact value
	Lo, Hi float64   // of the median's confidence interval; Center both if exact
	Exact  bool
	Delta  *Delta // against the first column; nil there
}

// Verdict is what may be said of a difference.
type Verdict string

// Verdicts. A metric without a better direction has only Differs.
const (
	Improved Verdict = "better"
	Worse    Verdict = "worse"
	Differs  Verdict = "differs"
	NoClaim  Verdict = "~" // the interval covers no difference
)

// Delta is a difference, as shares of the first column's center.
type Delta struct {
	Rel, Lo, Hi float64
	Verdict     Verdict
}

// Tables returns a table for each metric that has results.
func (b *Benchmark) Tables() []Table {
	var list []Table
	for _, m := range b.Metrics {
		if t := b.table(m); len(t.Rows) > 0 {
			list = append(list, t)
		}
	}
	return list
}

// seriesKey names the values of one cell.
type seriesKey struct{ row, column string }

func (b *Benchmark) table(m Metric) Table {
	t := Table{Metric: m}
	values := map[seriesKey][]float64{}
	var rows []string
	if b.Compare == ByVariant {
		for _, v := range b.Variants {
			t.Columns = append(t.Columns, v.Name)
		}
	}
	for _, s := range b.Samples {
		for _, r := range s.Results {
			for _, v := range r.Values {
				if v.Unit != m.Unit {
					continue
				}
				row, column := b.place(s.Variant, r.Name)
				if !slices.Contains(t.Columns, column) {
					t.Columns = append(t.Columns, column)
				}
				if !slices.Contains(rows, row) {
					rows = append(rows, row)
				}
				k := seriesKey{row, column}
				values[k] = append(values[k], v.Value)
			}
		}
	}
	for _, name := range rows {
		row := Row{Name: name, Cells: make([]*Cell, len(t.Columns))}
		for i, column := range t.Columns {
			if have := values[seriesKey{name, column}]; len(have) > 0 {
				row.Cells[i] = b.cell(have)
			}
		}
		if first := row.Cells[0]; first != nil {
			for _, c := range row.Cells[1:] {
				if c != nil {
					c.Delta = compare(first, c, m.Better)
				}
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// place returns the row and the column of a result.
func (b *Benchmark) place(variant, name string) (row, column string) {
	if b.Compare == ByVariant {
		return name, variant
	}
	row, column = CutKey(name, b.Compare)
	if len(b.Variants) > 1 {
		row += "/variant=" + variant
	}
	return row, column
}

// CutKey returns a name without the part /key=…, and that part's value.
func CutKey(name, key string) (rest, value string) {
	parts := strings.Split(name, "/")
	kept := parts[:1:1]
	for _, p := range parts[1:] {
		if v, ok := strings.CutPrefix(p, key+"="); ok {
			value = v
			continue
		}
		kept = append(kept, p)
	}
	return strings.Join(kept, "/"), value
}

func (b *Benchmark) cell(values []float64) *Cell {
	c := &Cell{Values: values, Exact: b.Rig == Deterministic}
	if c.Exact {
		c.Center = values[0]
		c.Lo, c.Hi = c.Center, c.Center
		return c
	}
	thresholds := benchmath.DefaultThresholds
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(values), &thresholds), Confidence)
	c.Center, c.Lo, c.Hi = s.Center, s.Lo, s.Hi
	return c
}

// compare says by how much b differs from a.
func compare(a, b *Cell, better Better) *Delta {
	d := &Delta{}
	var shift, lo, hi float64
	if a.Exact && b.Exact {
		shift = b.Center - a.Center
		lo, hi = shift, shift
	} else {
		shift, lo, hi = Interval(a.Values, b.Values)
	}
	d.Verdict = verdict(lo, hi, better)
	d.Rel, d.Lo, d.Hi = share(shift, a.Center), share(lo, a.Center), share(hi, a.Center)
	return d
}

// share returns x as a share of whole. Of nothing, anything is infinitely much.
func share(x, whole float64) float64 {
	if x == 0 {
		return 0
	}
	return x / math.Abs(whole)
}

// verdict says what an interval of differences means. A bound of zero covers
// no difference.
func verdict(lo, hi float64, better Better) Verdict {
	if lo <= 0 && hi >= 0 {
		return NoClaim
	}
	if better == "" {
		return Differs
	}
	if (lo > 0) == (better == Higher) {
		return Improved
	}
	return Worse
}

// Distribution is a histogram over all samples of one result.
type Distribution struct {
	Row, Column string
	Unit        string
	Bins        []Bin
}

// Distributions merges the histograms of the samples, in order of appearance.
func (b *Benchmark) Distributions() []Distribution {
	var list []Distribution
	for _, s := range b.Samples {
		for _, h := range s.Histograms {
			row, column := b.place(s.Variant, h.Name)
			i := slices.IndexFunc(list, func(d Distribution) bool { return d.Row == row && d.Column == column && d.Unit == h.Unit })
			if i < 0 {
				list = append(list, Distribution{Row: row, Column: column, Unit: h.Unit})
				i = len(list) - 1
			}
			list[i].Bins = merge(list[i].Bins, h.Bins)
		}
	}
	return list
}

// merge adds two histograms whose bins are sorted by value.
func merge(a, b []Bin) []Bin {
	out := make([]Bin, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Value < b[0].Value:
			out, a = append(out, a[0]), a[1:]
		case a[0].Value > b[0].Value:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, Bin{a[0].Value, a[0].Count + b[0].Count})
			a, b = a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}
