package plot

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"cloudkernel/tools/internal/measure"
)

//go:embed page.html
var pageText string

// Page writes a report as one HTML page that refers to nothing outside of it.
func Page(w io.Writer, r *measure.Report) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"date":     func(t time.Time) string { return t.Format("2006-01-02 15:04 MST") },
		"duration": func(s measure.Seconds) string { return s.Duration().Round(time.Second).String() },
		"percent":  func(x float64) string { return fmt.Sprintf("%.1f %%", x*100) },
		"anchor":   func(b measure.Benchmark) string { return fileName(b.Name + "-" + b.Arch) },
		"cell":     cellText,
		"delta":    deltaText,
		"class":    class,
		"raw":      raw,
		"limits":   func(b measure.Benchmark) []string { return limits(&b) },
		"rounds":   func(b measure.Benchmark) int { return rounds(&b) },
		"figures": func(b measure.Benchmark) ([]svg, error) {
			figs, err := Figures(&b)
			list := make([]svg, len(figs))
			for i, f := range figs {
				list[i] = svg{f.Name, f.Alt, template.HTML(f.SVG())}
			}
			return list, err
		},
		"parts": parts,
		"first": func(i int) bool { return i == 0 },
		"short": func(key string) string { return key[:min(12, len(key))] },
		"swatch": func(i int) template.CSS {
			return template.CSS("background:" + hex(colour(i)))
		},
		"headline": headline,
	}).Parse(pageText)
	if err != nil {
		return err
	}
	return t.Execute(w, r)
}

type svg struct {
	Name, Alt string
	Image     template.HTML
}

// class says how a difference is coloured.
func class(c *measure.Cell) string {
	if c == nil || c.Delta == nil {
		return ""
	}
	switch c.Delta.Verdict {
	case measure.Improved:
		return "better"
	case measure.Worse:
		return "worse"
	case measure.NoClaim:
		return "same"
	}
	return ""
}

// raw lists the values behind a cell, for who points at it.
func raw(c *measure.Cell, unit string) string {
	if c == nil {
		return ""
	}
	if c.Exact {
		return fmt.Sprintf("%v %s, exactly, in two runs", c.Center, unit)
	}
	var s []string
	for _, v := range c.Values {
		s = append(s, fmt.Sprintf("%.6g", v))
	}
	interval := "no interval: too few samples"
	if !math.IsInf(c.Lo, 0) && !math.IsInf(c.Hi, 0) {
		interval = fmt.Sprintf("95 %% interval %.6g to %.6g", c.Lo, c.Hi)
	}
	return fmt.Sprintf("median %.6g %s, %s; samples: %s", c.Center, unit, interval, strings.Join(s, ", "))
}

type part struct {
	Name, Value, Share string
	Width              template.CSS
}

// parts returns the rows of a breakdown with their bars.
func parts(br measure.Breakdown) []part {
	total, most := 0.0, 0.0
	for _, p := range br.Parts {
		total += p.Value
		most = math.Max(most, p.Value)
	}
	var list []part
	for _, p := range br.Parts {
		list = append(list, part{
			p.Name, scaled(p.Value, br.Unit), fmt.Sprintf("%.1f %%", p.Value/total*100),
			template.CSS(fmt.Sprintf("width:%.1f%%", p.Value/most*100)),
		})
	}
	return list
}

// headline counts what is claimed of a benchmark.
func headline(b measure.Benchmark) string {
	if b.Outcome != "" {
		return b.Outcome
	}
	count := map[measure.Verdict]int{}
	for _, t := range b.Tables() {
		each(t, func(_, _ int, c *measure.Cell) {
			if c.Delta != nil {
				count[c.Delta.Verdict]++
			}
		})
	}
	var s []string
	for _, v := range []measure.Verdict{measure.Improved, measure.Worse, measure.Differs} {
		if n := count[v]; n > 0 {
			s = append(s, fmt.Sprintf("%d %s", n, v))
		}
	}
	if n := count[measure.NoClaim]; n > 0 {
		s = append(s, fmt.Sprintf("%d not claimed", n))
	}
	return strings.Join(slices.Clip(s), ", ")
}
