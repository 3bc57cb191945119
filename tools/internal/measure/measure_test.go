package measure

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aclements/go-moremath/stats"
	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	results, hists, err := Parse("warming up\nBenchmarkWake/policy=fifo 800 4416 p50-ns 5024.5 p99-ns\r\n\nHistogramWake/policy=fifo wake-ns 4400:512 4416:288\nBenchmarkShare 1 49.9 share-%\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Result{
		{"Wake/policy=fifo", 800, []Value{{4416, "p50-ns"}, {5024.5, "p99-ns"}}},
		{"Share", 1, []Value{{49.9, "share-%"}}},
	}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Histogram{{"Wake/policy=fifo", "wake-ns", []Bin{{4400, 512}, {4416, 288}}}}, hists); diff != "" {
		t.Error(diff)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "no result was printed"},
		{"nothing of the kind\n", "no result was printed"},
		{"HistogramA ns 1:1\n", "no result was printed"},
		{"BenchmarkA 1 2 ns\nBenchmarkB 3\n", `line 2 of the output, "BenchmarkB 3"`},
		{"BenchmarkA x 2 ns/op\n", `line 1 of the output`},
		{"BenchmarkA 1 2\n", `line 1 of the output`},
		{"BenchmarkA 1 2 ns/op 3 ns/op\n", "two values have the unit ns/op"},
		{"BenchmarkA-8 1 2 ns/op\n", "is no name of a result"},
		{"BenchmarkA/n=x-8 1 2 ns/op\n", "GOMAXPROCS"},
		{"BenchmarkA/n 1 2 ns/op\n", "is no name of a result"},
		{"BenchmarkA 1 NaN ns/op\n", "is no measurement"},
		{"BenchmarkA 1 2 ns\nHistogramA ns\n", "line 2 of the output"},
		{"BenchmarkA 1 2 ns\nHistogramA ns 1:1 x:2\n", `"x:2" is no VALUE:COUNT`},
		{"BenchmarkA 1 2 ns\nHistogramA ns 2:1 1:1\n", `the values do not rise at "1:1"`},
		{"BenchmarkA 1 2 ns\nHistogramA ns 2:-1\n", `"2:-1" is no VALUE:COUNT`},
	} {
		if _, _, err := Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %s", tt.text, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("BenchmarkWake/policy=fifo 800 4416 p50-ns 5024 p99-ns\nHistogramWake/policy=fifo wake-ns 4400:512 4416:288\n")
	f.Add("BenchmarkA 1 2 MB/s 3 ns/op\r\nBenchmarkB\n")
	f.Fuzz(func(t *testing.T, text string) {
		results, hists, err := Parse(text)
		if err != nil {
			return
		}
		// What was taken can be written, and read as the same.
		r := &Report{Benchmarks: []Benchmark{{
			Name: "t/b", Arch: "arm64", Rig: Statistical, Compare: ByVariant, Variants: []Variant{{Name: "v"}},
			Samples: []Sample{{Variant: "v", Results: results, Histograms: hists}},
		}}}
		var b bytes.Buffer
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		back, err := Read(b.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		var got []Result
		for _, s := range back.Benchmarks[0].Samples {
			got = append(got, s.Results...)
		}
		if diff := cmp.Diff(results, got); diff != "" {
			t.Fatalf("%s\n%s", diff, b.String())
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("bench: a/b\nvariant: series\nBenchmarkA 1 2 ns/op\n"))
	f.Add([]byte(`{"benchmarks":[{"name":"a/b"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(data)
		if err == nil && len(r.Benchmarks) == 0 {
			t.Error("no benchmarks, and no error")
		}
	})
}

func TestReadErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "holds no results"},
		{"PASS\nok\n", "holds no results"},
		{"{}", "holds no benchmarks"},
		{"{", "unexpected end"},
		{"goos: linux\nBenchmarkA 1 2 ns/op\n", `line 2: a result without a line "bench: topic/name"`},
	} {
		if _, err := Read([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	results := []Result{{"A", 1, []Value{{1, "ns/op"}}}}
	for _, tt := range []struct {
		units []string
		want  string
	}{
		{[]string{"ns/op"}, ""},
		{[]string{"p99-ns", "ns/op"}, `no result has the metric "p99-ns"`},
		{nil, `A has a value in "ns/op"`},
	} {
		var metrics []Metric
		for _, u := range tt.units {
			metrics = append(metrics, Metric{Unit: u})
		}
		err := Check(results, metrics)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: error %v, want %s", tt.units, err, tt.want)
		}
	}
}

// draw returns n values without ties.
func draw(rnd *rand.Rand, n int, shift float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = rnd.NormFloat64() + shift
	}
	return v
}

// TestIntervalInvertsTheTest: the interval covers zero exactly when the
// Mann-Whitney test of the same level finds no difference.
func TestIntervalInvertsTheTest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	claimed := 0
	for range 400 {
		a, b := draw(rnd, 4+rnd.IntN(8), 0), draw(rnd, 4+rnd.IntN(8), rnd.Float64()*3)
		_, lo, hi := Interval(a, b)
		u, err := stats.MannWhitneyUTest(a, b, stats.LocationDiffers)
		if err != nil {
			t.Fatal(err)
		}
		covers := lo <= 0 && hi >= 0
		if covers != (u.P > 1-Confidence) {
			t.Fatalf("p = %v, interval [%v, %v]\na = %v\nb = %v", u.P, lo, hi, a, b)
		}
		if !covers {
			claimed++
		}
	}
	if claimed < 50 || claimed > 350 {
		t.Errorf("%d of 400 differences were claimed: the test tests one side only", claimed)
	}
}

// TestIntervalCovers: it holds the true shift at least as often as it says,
// and is not so wide that it always does.
func TestIntervalCovers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	const runs, shift = 2000, 0.7
	for _, n := range []int{5, 10, 40} {
		held := 0
		for range runs {
			_, lo, hi := Interval(draw(rnd, n, 0), draw(rnd, n, shift))
			if lo <= shift && shift <= hi {
				held++
			}
		}
		if share := float64(held) / runs; share < Confidence-0.015 || share > 0.99 {
			t.Errorf("of %d values each, %.1f %% of the intervals hold the shift", n, share*100)
		}
	}
}

func TestIntervalProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	near := func(a, b float64) bool { return a == b || math.Abs(a-b) < 1e-9 }
	for range 200 {
		a, b := draw(rnd, 3+rnd.IntN(10), 0), draw(rnd, 3+rnd.IntN(10), 1)
		shift, lo, hi := Interval(a, b)
		if !(lo <= shift && shift <= hi) {
			t.Fatalf("%v is not in [%v, %v]", shift, lo, hi)
		}
		back, blo, bhi := Interval(b, a)
		if !near(back, -shift) || !near(blo, -hi) || !near(bhi, -lo) {
			t.Fatalf("swapped: %v [%v, %v], was %v [%v, %v]", back, blo, bhi, shift, lo, hi)
		}
		moved := slices.Clone(b)
		for i := range moved {
			moved[i] += 5
		}
		s, l, h := Interval(a, moved)
		if !near(s, shift+5) || !near(l, lo+5) || !near(h, hi+5) {
			t.Fatalf("moved by 5: %v [%v, %v], was %v [%v, %v]", s, l, h, shift, lo, hi)
		}
	}
}

func TestIntervalOfFew(t *testing.T) {
	for _, n := range []int{1, 2, 3} {
		_, lo, hi := Interval(make([]float64, n), draw(rand.New(rand.NewPCG(1, 1)), n, 1e6))
		if !math.IsInf(lo, -1) || !math.IsInf(hi, 1) {
			t.Errorf("%d values each: [%v, %v]: so few allow no claim at 95 %%", n, lo, hi)
		}
	}
	if _, lo, _ := Interval([]float64{1, 2, 3, 4}, []float64{11, 12, 13, 14}); lo != 7 {
		t.Errorf("4 values each that do not overlap: from %v, want 7", lo)
	}
}

// bench makes a benchmark of two variants with one metric.
func bench(rig Rig, better Better, a, b []float64) *Benchmark {
	m := &Benchmark{
		Name: "t/b", Arch: "arm64", Rig: rig, Compare: ByVariant, Machine: "virt",
		Variants: []Variant{{Name: "old"}, {Name: "new"}}, Metrics: []Metric{{Unit: "ns/op", Better: better, Tolerance: 0.05}},
	}
	for i, values := range [][]float64{a, b} {
		for round, v := range values {
			m.Samples = append(m.Samples, Sample{Variant: m.Variants[i].Name, Round: round, Results: []Result{{"A", 1, []Value{{v, "ns/op"}}}}})
		}
	}
	return m
}

func TestVerdicts(t *testing.T) {
	low, high := []float64{100, 101, 102, 103, 104}, []float64{200, 201, 202, 203, 204}
	for _, tt := range []struct {
		name   string
		rig    Rig
		better Better
		a, b   []float64
		want   Verdict
	}{
		{"worse", Statistical, Lower, low, high, Worse},
		{"better", Statistical, Lower, high, low, Improved},
		{"more is better", Statistical, Higher, low, high, Improved},
		{"less is worse", Statistical, Higher, high, low, Worse},
		{"no direction", Statistical, "", low, high, Differs},
		{"the same", Statistical, Lower, low, low, NoClaim},
		{"too few", Statistical, Lower, low[:3], high[:3], NoClaim},
		{"far medians, wide spread", Statistical, Lower, []float64{1, 2, 100, 101, 102}, []float64{1.5, 90, 110, 111, 112}, NoClaim},
		{"exact", Deterministic, Lower, low[:1], []float64{100.5}, Worse},
		{"exactly the same", Deterministic, Lower, low[:1], low[:1], NoClaim},
	} {
		tables := bench(tt.rig, tt.better, tt.a, tt.b).Tables()
		if len(tables) != 1 || len(tables[0].Rows) != 1 {
			t.Fatalf("%s: %+v", tt.name, tables)
		}
		cells := tables[0].Rows[0].Cells
		if cells[0].Delta != nil {
			t.Errorf("%s: the first column is compared with itself", tt.name)
		}
		if got := cells[1].Delta.Verdict; got != tt.want {
			t.Errorf("%s: %s, want %s (%+v)", tt.name, got, tt.want, cells[1].Delta)
		}
	}
}

func TestAgainst(t *testing.T) {
	values := []float64{100, 101, 102, 103, 104}
	times := func(f float64) []float64 {
		out := slices.Clone(values)
		for i := range out {
			out[i] *= f
		}
		return out
	}
	report := func(b *Benchmark) *Report { return &Report{Benchmarks: []Benchmark{*b}} }
	for _, tt := range []struct {
		name       string
		rig        Rig
		better     Better
		factor     float64
		regression bool
	}{
		{"twice", Statistical, Lower, 2, true},
		{"within the tolerance", Statistical, Lower, 1.06, false}, // the interval's lower end is below 5 %
		{"better", Statistical, Lower, 0.5, false},
		{"less of what should be more", Statistical, Higher, 0.5, true},
		{"no direction", Statistical, "", 2, false},
		{"exact, tolerated", Deterministic, Lower, 1.04, false},
		{"exact", Deterministic, Lower, 1.06, true},
	} {
		old := bench(tt.rig, tt.better, values, values)
		changes, notes := report(bench(tt.rig, tt.better, values, times(tt.factor))).Against(report(old))
		if len(changes) != 2 || len(notes) != 0 {
			t.Fatalf("%s: %d changes, notes %q", tt.name, len(changes), notes)
		}
		if changes[0].Regression || changes[1].Regression != tt.regression {
			t.Errorf("%s: regressions %v and %v, want false and %v", tt.name, changes[0].Regression, changes[1].Regression, tt.regression)
		}
	}
}

func TestAgainstWhatCannotBeCompared(t *testing.T) {
	values := []float64{1, 2, 3, 4}
	for _, tt := range []struct {
		change func(old *Report)
		want   string
	}{
		{func(r *Report) { r.Benchmarks[0].Name = "t/c" }, "t/b on arm64 is not in the baseline"},
		{func(r *Report) { r.Benchmarks[0].Rig = Deterministic }, "deterministic rig"},
		{func(r *Report) { r.Benchmarks[0].Machine = "q35" }, "the baseline's guest was q35"},
		{func(r *Report) { r.Host.CPU = "another" }, "on another host"},
		{func(r *Report) { r.Benchmarks[0].Samples = nil }, "ns/op of A (old) is not in the baseline"},
	} {
		old, now := &Report{Benchmarks: []Benchmark{*bench(Statistical, Lower, values, values)}}, &Report{Benchmarks: []Benchmark{*bench(Statistical, Lower, values, values)}}
		tt.change(old)
		changes, notes := now.Against(old)
		text := strings.Join(notes, "\n")
		if len(changes) != 0 || !strings.Contains(text, tt.want) || !strings.Contains(text, "nothing was compared") {
			t.Errorf("%d changes, notes %q, want %q", len(changes), notes, tt.want)
		}
	}
}

func TestCompareByKey(t *testing.T) {
	b := &Benchmark{
		Name: "t/b", Rig: Deterministic, Compare: "policy", Variants: []Variant{{Name: "x"}, {Name: "y"}}, Metrics: []Metric{{Unit: "ns"}},
	}
	for _, v := range b.Variants {
		b.Samples = append(b.Samples, Sample{Variant: v.Name, Results: []Result{
			{"A/policy=one/n=1", 1, []Value{{1, "ns"}}}, {"A/policy=two/n=1", 1, []Value{{2, "ns"}}}, {"B", 1, []Value{{3, "ns"}}},
		}})
	}
	table := b.Tables()[0]
	if diff := cmp.Diff([]string{"one", "two", ""}, table.Columns); diff != "" {
		t.Error(diff)
	}
	var rows []string
	for _, r := range table.Rows {
		rows = append(rows, r.Name)
	}
	if diff := cmp.Diff([]string{"A/n=1/variant=x", "B/variant=x", "A/n=1/variant=y", "B/variant=y"}, rows); diff != "" {
		t.Error(diff)
	}
}

// TestMerge: merging histograms keeps every count and the order.
func TestMerge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 9))
	random := func() (bins []Bin, total int64) {
		v := 0.0
		for range rnd.IntN(12) {
			v += float64(1 + rnd.IntN(3))
			n := int64(rnd.IntN(5))
			bins, total = append(bins, Bin{v, n}), total+n
		}
		return bins, total
	}
	for range 300 {
		a, n := random()
		b, m := random()
		out := merge(a, b)
		var total int64
		for i, bin := range out {
			total += bin.Count
			if i > 0 && out[i-1].Value >= bin.Value {
				t.Fatalf("merge(%v, %v) = %v", a, b, out)
			}
		}
		if total != n+m {
			t.Fatalf("merge(%v, %v) = %v: %d of %d", a, b, out, total, n+m)
		}
	}
}
