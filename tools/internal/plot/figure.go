package plot

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchunit"
	gplot "gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"cloudkernel/tools/internal/measure"
)

// Figure is one plot.
type Figure struct {
	Name string // fit for a file
	Alt  string // what it shows, in words
	plot *gplot.Plot
	w, h vg.Length
}

// palette tells columns apart, also to eyes that do not see all colours
// (M. Okabe, K. Ito, Color Universal Design).
var palette = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, // blue
	color.RGBA{0xd5, 0x5e, 0x00, 0xff}, // vermilion
	color.RGBA{0x00, 0x9e, 0x73, 0xff}, // green
	color.RGBA{0xcc, 0x79, 0xa7, 0xff}, // purple
	color.RGBA{0xe6, 0x9f, 0x00, 0xff}, // orange
	color.RGBA{0x56, 0xb4, 0xe9, 0xff}, // sky
	color.RGBA{0x33, 0x33, 0x33, 0xff},
}

func colour(i int) color.Color { return palette[i%len(palette)] }

// hex writes a colour as CSS does.
func hex(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

const width = 8 * vg.Inch

var (
	grey = color.Gray{0xdd}
	sans = font.Font{Typeface: "Liberation", Variant: "Sans"}
)

// newPlot returns an empty plot in our style.
func newPlot(title, x string) *gplot.Plot {
	p := gplot.New()
	set := func(f *font.Font, size vg.Length) {
		*f = sans
		f.Size = size
	}
	p.Title.Text, p.X.Label.Text = title, x
	p.Title.Padding = 8
	p.X.Label.Padding, p.Y.Label.Padding = 5, 5
	set(&p.Title.TextStyle.Font, 11)
	for _, a := range []*gplot.Axis{&p.X, &p.Y} {
		set(&a.Label.TextStyle.Font, 10)
		set(&a.Tick.Label.Font, 9)
		a.Padding = 4
	}
	set(&p.Legend.TextStyle.Font, 9)
	p.Legend.Padding = 2
	p.Legend.ThumbnailWidth = 16
	return p
}

// SVG returns the figure as an element that can stand in a page.
func (f Figure) SVG() string {
	c := vgsvg.NewWith(vgsvg.UseWH(f.w, f.h))
	f.plot.Draw(draw.New(c))
	var b bytes.Buffer
	_, _ = c.WriteTo(&b) // a buffer takes everything
	s := b.String()
	if i := strings.Index(s, "<svg"); i > 0 {
		s = s[i:] // without the XML declaration
	}
	return fitText(s)
}

var textRE = regexp.MustCompile(`<text ([^>]*font-size:([0-9.]+)px">)([^<]*)</text>`)

// fitText lets a reader's own font stand in where Liberation is not installed,
// and gives each text the width that it has in Liberation: texts were placed by
// it, and a wider font would run into what stands beside them.
func fitText(s string) string {
	s = textRE.ReplaceAllStringFunc(s, func(text string) string {
		m := textRE.FindStringSubmatch(text)
		size, err := strconv.ParseFloat(m[2], 64)
		if err != nil || m[3] == "" {
			return text
		}
		face := font.DefaultCache.Lookup(sans, vg.Length(size))
		width := face.Width(html.UnescapeString(m[3]))
		return fmt.Sprintf(`<text textLength="%.5g" lengthAdjust="spacingAndGlyphs" %s%s</text>`, width.Points(), m[1], m[3])
	})
	return strings.ReplaceAll(s, "font-family:Liberation Sans", "font-family:Liberation Sans,Arial,sans-serif")
}

// PNG returns the figure as an image of 150 dots an inch.
func (f Figure) PNG() ([]byte, error) {
	c := vgimg.NewWith(vgimg.UseWH(f.w, f.h), vgimg.UseDPI(150))
	f.plot.Draw(draw.New(c))
	var b bytes.Buffer
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(&b)
	return b.Bytes(), err
}

// Figures returns the plots of a benchmark.
func Figures(b *measure.Benchmark) ([]Figure, error) {
	var list []Figure
	base := strings.ReplaceAll(b.Name, "/", "-") + "-" + b.Arch
	for _, t := range b.Tables() {
		f, err := dots(t)
		if err != nil {
			return nil, err
		}
		if f != nil {
			f.Name = base + "-" + fileName(t.Metric.Unit)
			list = append(list, *f)
		}
	}
	for _, group := range groups(b.Distributions()) {
		f, err := cdf(group)
		if err != nil {
			return nil, err
		}
		f.Name = base + "-cdf-" + fileName(group[0].Row) + "-" + fileName(group[0].Unit)
		list = append(list, *f)
	}
	return list, nil
}

func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '%':
			return 'p'
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
			return r
		}
		return '-'
	}, s)
}

// dots draws a table: a dot for each value, with its interval, one line a row
// and one colour a column. A table of one value needs no plot.
func dots(t measure.Table) (*Figure, error) {
	if len(t.Rows)*len(t.Columns) < 2 {
		return nil, nil
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	each(t, func(_, _ int, c *measure.Cell) {
		for _, v := range []float64{c.Center, finite(c.Lo, c.Center), finite(c.Hi, c.Center)} {
			lo, hi = math.Min(lo, v), math.Max(hi, v)
		}
	})
	p := newPlot(t.Metric.What, axisLabel(t.Metric))
	logarithmic := lo > 0 && hi/lo > 20
	setScale(p, logarithmic, lo, hi)
	p.X.Tick.Marker = ticks{t.Metric.Unit, p.X.Tick.Marker}

	names := make([]string, len(t.Rows))
	for i, r := range t.Rows {
		names[len(t.Rows)-1-i] = r.Name // the first row on top
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color = nil
	grid.Vertical.Color = grey
	p.Add(grid)
	for column, name := range t.Columns {
		pts := &points{}
		each(t, func(row, col int, c *measure.Cell) {
			if col == column {
				pts.add(c, dodge(len(t.Rows)-1-row, column, len(t.Columns)))
			}
		})
		if len(pts.XYs) == 0 {
			continue
		}
		s, err := plotter.NewScatter(pts.XYs)
		if err != nil {
			return nil, err
		}
		s.GlyphStyle = draw.GlyphStyle{Color: colour(column), Radius: 3.5, Shape: draw.CircleGlyph{}}
		p.Add(s)
		if pts.wide {
			bars, err := plotter.NewXErrorBars(pts)
			if err != nil {
				return nil, err
			}
			bars.Color, bars.Width, bars.CapWidth = colour(column), 1.5, 6
			p.Add(bars)
		}
		if len(t.Columns) > 1 {
			p.Legend.Add(name, s)
		}
	}
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.6, float64(len(t.Rows))-0.4
	height := vg.Length(70 + max(18, 12*len(t.Columns))*len(t.Rows))
	if len(t.Columns) > 1 {
		// Room for the legend above the first row.
		legend := vg.Length(14*len(t.Columns) + 6)
		perRow := (height - 70) / vg.Length(len(t.Rows))
		p.Y.Max += float64(legend / perRow)
		height += legend
		p.Legend.Top = true
	}
	return &Figure{Alt: t.Metric.What, plot: p, w: width, h: height}, nil
}

// axisLabel names a metric and its better direction.
func axisLabel(m measure.Metric) string {
	if m.Better == "" {
		return m.Unit
	}
	return fmt.Sprintf("%s, %s is better", m.Unit, m.Better)
}

func each(t measure.Table, f func(row, col int, c *measure.Cell)) {
	for i, r := range t.Rows {
		for j, c := range r.Cells {
			if c != nil {
				f(i, j, c)
			}
		}
	}
}

func finite(v, otherwise float64) float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return otherwise
	}
	return v
}

// dodge returns the height of a column's dot in its row.
func dodge(row, column, columns int) float64 {
	const spread = 0.6
	if columns < 2 {
		return float64(row)
	}
	return float64(row) + spread*(0.5-float64(column)/float64(columns-1))
}

// points are dots with intervals.
type points struct {
	plotter.XYs
	plotter.XErrors
	wide bool
}

func (p *points) add(c *measure.Cell, y float64) {
	p.XYs = append(p.XYs, plotter.XY{X: c.Center, Y: y})
	lo, hi := finite(c.Lo, c.Center), finite(c.Hi, c.Center)
	p.XErrors = append(p.XErrors, struct{ Low, High float64 }{c.Center - lo, hi - c.Center})
	p.wide = p.wide || lo != hi
}

// setScale makes room for values from lo to hi, from zero if that is near.
func setScale(p *gplot.Plot, logarithmic bool, lo, hi float64) {
	if logarithmic {
		p.X.Scale = gplot.LogScale{}
		p.X.Tick.Marker = decades{}
		p.X.Min, p.X.Max = lo/1.5, hi*1.5
		return
	}
	p.X.Tick.Marker = gplot.DefaultTicks{}
	p.X.Min, p.X.Max = math.Min(0, lo*1.05), math.Max(hi*1.08, 0)
	if p.X.Min == p.X.Max {
		p.X.Max = 1
	}
}

// ticks are another ticker's with labels in a unit.
type ticks struct {
	unit string
	of   gplot.Ticker
}

func (t ticks) Ticks(lo, hi float64) []gplot.Tick {
	list := t.of.Ticks(lo, hi)
	for i := range list {
		if list[i].Label != "" {
			list[i].Label = short(list[i].Value, t.unit)
		}
	}
	return list
}

// short writes a value of an axis.
func short(v float64, unit string) string {
	tidy, u := benchunit.Tidy(v, unit)
	switch {
	case u == "%" || strings.HasSuffix(u, "-%"):
		return fmt.Sprintf("%g %%", v)
	case v == 0:
		return "0"
	}
	s := benchunit.Scale(tidy, benchunit.ClassOf(u))
	digits := strings.LastIndexAny(s, "0123456789") + 1
	number, prefix := s[:digits], s[digits:]
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	if isTime(u) {
		return number + " " + prefix + "s"
	}
	return number + prefix
}

// decades puts ticks at 1, 2 and 5 times the powers of ten, and labels as many
// as there is room for.
type decades struct{}

func (decades) Ticks(lo, hi float64) []gplot.Tick {
	var list []gplot.Tick
	span := math.Log10(hi / lo)
	for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
		for _, k := range []float64{1, 2, 5} {
			v := k * math.Pow(10, e)
			if v < lo || v > hi {
				continue
			}
			tick := gplot.Tick{Value: v}
			if k == 1 || span < 3 {
				tick.Label = "x"
			}
			list = append(list, tick)
		}
	}
	return list
}

// groups puts the distributions of one row and unit together.
func groups(list []measure.Distribution) [][]measure.Distribution {
	var out [][]measure.Distribution
	for _, d := range list {
		i := slices.IndexFunc(out, func(g []measure.Distribution) bool { return g[0].Row == d.Row && g[0].Unit == d.Unit })
		if i < 0 {
			out = append(out, []measure.Distribution{d})
			continue
		}
		out[i] = append(out[i], d)
	}
	return out
}

// cdf draws distributions: which share of all is at most so much. The upper end
// is what latency is about, so the axis of shares is stretched there: it goes
// by nines.
func cdf(group []measure.Distribution) (*Figure, error) {
	title := fmt.Sprintf("%s: share of %s at or below a value", group[0].Row, group[0].Unit)
	p := newPlot(title, group[0].Unit)
	p.Y.Label.Text = "share"
	lo, hi, most := math.Inf(1), 0.0, int64(1)
	for _, d := range group {
		var total int64
		for _, b := range d.Bins {
			if b.Value > 0 {
				lo = math.Min(lo, b.Value)
			}
			hi = math.Max(hi, b.Value)
			total += b.Count
		}
		most = max(most, total)
	}
	setScale(p, lo > 0 && hi/lo > 20, lo, hi)
	if p.X.Scale != (gplot.LogScale{}) {
		p.X.Min = math.Max(0, lo-(hi-lo)*0.05)
		if hi == lo {
			p.X.Min = 0
		}
	}
	p.X.Tick.Marker = ticks{group[0].Unit, p.X.Tick.Marker}
	p.Y.Min, p.Y.Max = 0, nines(1-0.5/float64(most))
	p.Y.Tick.Marker = shareTicks{}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = grey, grey
	p.Add(grid)
	for i, d := range group {
		line, err := plotter.NewLine(steps(d.Bins, p.X.Min, p.Y.Max))
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = colour(i), 1.8
		p.Add(line)
		if len(group) > 1 || d.Column != "" {
			p.Legend.Add(d.Column, line)
		}
	}
	// Late values are rare: below the curves, on the right, is room.
	p.Legend.XOffs, p.Legend.YOffs = -8, 6
	return &Figure{Alt: title, plot: p, w: width, h: 3.6 * vg.Inch}, nil
}

// nines maps a share to the axis: 0 is 0, 0.9 is 1, 0.99 is 2.
func nines(share float64) float64 { return -math.Log10(1 - share) }

// steps returns the corners of a cumulated histogram.
func steps(bins []measure.Bin, from, top float64) plotter.XYs {
	var total, sum int64
	for _, b := range bins {
		total += b.Count
	}
	y := 0.0
	pts := plotter.XYs{}
	if len(bins) > 0 && from < bins[0].Value && from >= 0 {
		pts = append(pts, plotter.XY{X: math.Max(from, math.SmallestNonzeroFloat64), Y: 0})
	}
	for _, b := range bins {
		if b.Count == 0 {
			continue
		}
		pts = append(pts, plotter.XY{X: b.Value, Y: y})
		sum += b.Count
		y = top
		if sum < total {
			y = math.Min(nines(float64(sum)/float64(total)), top)
		}
		pts = append(pts, plotter.XY{X: b.Value, Y: y})
	}
	return pts
}

// shareTicks labels the axis of nines.
type shareTicks struct{}

func (shareTicks) Ticks(_, hi float64) []gplot.Tick {
	list := []gplot.Tick{{Value: 0, Label: "0"}, {Value: nines(0.5), Label: "50 %"}}
	for n := 1.0; n <= hi; n++ {
		label := strings.TrimRight(fmt.Sprintf("%.8f", 100-math.Pow(10, 2-n)), "0")
		list = append(list, gplot.Tick{Value: n, Label: strings.TrimRight(label, ".") + " %"})
	}
	return list
}
