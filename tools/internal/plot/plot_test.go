package plot

import (
	"bytes"
	"flag"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/measure"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is a report with one of everything: exact and sampled numbers, claims
// and none, distributions, a breakdown, a benchmark that came to nothing.
func sample() *measure.Report {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := &measure.Report{
		Made: time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC), Command: "kernlab bench smoke vmf", Wall: 312, Guests: 308.5,
		Host: measure.Host{CPU: "Some CPU @ 2.0GHz", Cores: 2, Kernel: "6.1.0", QEMU: "QEMU emulator version 7.2.0"},
	}
	wake := measure.Benchmark{
		Name: "vmf/wakeup", Summary: "How long a task that wakes waits", Arch: "arm64", Rig: measure.Deterministic,
		Machine: "virt, 1 CPU, 1024 MiB, tcg with icount", Compare: "policy", Repro: "kernlab bench vmf/wakeup --arch arm64",
		Variants: []measure.Variant{{Name: "series", Kernel: "0123456789abcdef0123", Release: "6.12.1-cloudkernel", Cmdline: "oops=panic"}},
		Metrics: []measure.Metric{
			{Unit: "p99-ns", What: "from the timer to the first instruction, 99th percentile", Better: measure.Lower},
			{Unit: "share-%", What: "share of the CPU", Better: measure.Higher},
		},
	}
	s := measure.Sample{Variant: "series"}
	for i, p := range []string{"eevdf", "niced", "fifo"} {
		s.Results = append(s.Results,
			measure.Result{Name: "Wake/policy=" + p, N: 800, Values: []measure.Value{{Value: []float64{6635000, 55600, 5000}[i], Unit: "p99-ns"}}},
			measure.Result{Name: "Share/policy=" + p, N: 1, Values: []measure.Value{{Value: []float64{49.9, 98.8, 95}[i], Unit: "share-%"}}})
		h := measure.Histogram{Name: "Wake/policy=" + p, Unit: "wake-ns"}
		for k := range 30 {
			v := []float64{55000, 55000, 4400}[i] * math.Pow(1.05, float64(k*(3-i)))
			h.Bins = append(h.Bins, measure.Bin{Value: math.Round(v), Count: int64(1 + 200*math.Exp(-float64(k)/3))})
		}
		s.Histograms = append(s.Histograms, h)
	}
	wake.Samples = []measure.Sample{s}
	hack := measure.Benchmark{
		Name: "smoke/hackbench", Summary: "Messages between many processes", Arch: "arm64", Rig: measure.Statistical,
		Machine: "virt, 2 CPUs, 1024 MiB, tcg", Compare: measure.ByVariant, Repro: "kernlab bench smoke/hackbench --arch arm64",
		Variants: []measure.Variant{
			{Name: "plain", Kernel: "aaaaaaaaaaaaaaaa", Release: "6.12.1"}, {Name: "series", Kernel: "bbbbbbbbbbbbbb", Release: "6.12.1-cloudkernel"},
		},
		Metrics: []measure.Metric{{Unit: "ns/op", What: "time of one run", Better: measure.Lower}},
	}
	for round := range 10 {
		for i, v := range []string{"plain", "series"} {
			noise := func(base, diff float64) float64 {
				return math.Round(base * (1 + diff*float64(i)) * (1 + 0.02*rnd.Float64()))
			}
			hack.Samples = append(hack.Samples, measure.Sample{Variant: v, Round: round, Wall: 3, Results: []measure.Result{
				{Name: "Hack/by=pipes", N: 1, Values: []measure.Value{{Value: noise(1.2e9, 0), Unit: "ns/op"}}},
				{Name: "Hack/by=sockets", N: 1, Values: []measure.Value{{Value: noise(1.5e9, 0.1), Unit: "ns/op"}}},
			}})
		}
	}
	boot := measure.Benchmark{
		Name: "smoke/boot", Summary: "From reset to PID 1", Arch: "arm64", Rig: measure.Deterministic, Machine: "virt, 1 CPU, 1024 MiB, tcg with icount",
		Compare: measure.ByVariant, Repro: "kernlab bench smoke/boot --arch arm64",
		Variants: []measure.Variant{{Name: "series", Kernel: "b"}},
		Metrics:  []measure.Metric{{Unit: "pid1-instr", What: "instructions from reset to PID 1", Better: measure.Lower}},
		Samples: []measure.Sample{{Variant: "series", Results: []measure.Result{
			{Name: "Boot", N: 1, Values: []measure.Value{{Value: 284.9e6, Unit: "pid1-instr"}}},
		}}},
		Breaks: []measure.Breakdown{{Title: "where they go", Variant: "series", Unit: "ns", Parts: []measure.Part{
			{Name: "entry", Value: 60e6}, {Name: "initcall <pty_init>", Value: 18e6}, {Name: "the rest", Value: 206.9e6},
		}}},
	}
	none := measure.Benchmark{
		Name: "vmf/steal", Summary: "Time stolen", Arch: "arm64", Rig: measure.Statistical, Compare: measure.ByVariant,
		Repro: "kernlab bench vmf/steal --arch arm64", Outcome: "fail", Reason: "two runs differ & more:\nline 3",
	}
	r.Benchmarks = []measure.Benchmark{boot, hack, wake, none}
	return r
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); look, and rewrite it with -update:\n%s", path, diff)
	}
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, sample()); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", b.String())
}

func TestChanges(t *testing.T) {
	old, now := sample(), sample()
	for i := range now.Benchmarks[1].Samples {
		for j := range now.Benchmarks[1].Samples[i].Results {
			now.Benchmarks[1].Samples[i].Results[j].Values[0].Value *= 1.2
		}
	}
	now.Benchmarks[0].Samples[0].Results[0].Values[0].Value = 100e6
	now.Benchmarks[2].Name = "vmf/new"
	changes, notes := now.Against(old)
	var b bytes.Buffer
	if err := Changes(&b, changes, notes); err != nil {
		t.Fatal(err)
	}
	golden(t, "changes.txt", b.String())
}

// TestPage compares the page's text with a golden file. The plots are left
// out: their bytes are the library's business.
func TestPage(t *testing.T) {
	var b bytes.Buffer
	if err := Page(&b, sample()); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	var kept strings.Builder
	plots := 0
	for {
		before, after, ok := strings.Cut(page, "<svg")
		kept.WriteString(before)
		if !ok {
			break
		}
		plots++
		_, page, ok = strings.Cut(after, "</svg>")
		if !ok {
			t.Fatal("an <svg> that does not end")
		}
		fmt.Fprintf(&kept, "[plot %d]", plots)
	}
	golden(t, "page.html", kept.String())
	for _, outside := range []string{`src="`, "http:", "https:", "url("} {
		text := kept.String()
		if strings.Contains(text, outside) {
			t.Errorf("the page refers to something outside of it: it has %q", outside)
		}
	}
}

func TestFigures(t *testing.T) {
	r := sample()
	var names []string
	for i := range r.Benchmarks {
		figs, err := Figures(&r.Benchmarks[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range figs {
			names = append(names, f.Name)
			data, err := f.PNG()
			if err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if b := img.Bounds(); b.Dx() < 1000 || b.Dy() < 150 {
				t.Errorf("%s is %v", f.Name, b)
			}
			if s := f.SVG(); !strings.HasPrefix(s, "<svg") || strings.Contains(s, "NaN") || strings.Contains(s, "Inf") {
				t.Errorf("%s: not a clean SVG", f.Name)
			}
		}
	}
	want := []string{
		"smoke-hackbench-arm64-ns-op",
		"vmf-wakeup-arm64-p99-ns", "vmf-wakeup-arm64-share-p", "vmf-wakeup-arm64-cdf-Wake-wake-ns",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

// TestWrite writes the sample where a person can look at it.
func TestWrite(t *testing.T) {
	dir := os.Getenv("CLOUDKERNEL_TEST_OUTPUT")
	if dir == "" {
		dir = t.TempDir()
	}
	r := sample()
	if err := Write(dir, r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"results.json", "results.txt"} {
		back, err := measure.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if changes, _ := r.Against(back); len(changes) == 0 {
			t.Errorf("%s has nothing to compare with", name)
		} else {
			for _, c := range changes {
				if c.Regression {
					t.Errorf("%s: %+v is a regression against itself", name, c)
				}
			}
		}
	}
}

// TestEdges: values that plots and tables stumble over.
func TestEdges(t *testing.T) {
	for name, values := range map[string][]float64{
		"zero": {0, 0}, "zero base": {0, 5}, "negative": {-3, 4}, "huge": {1, 1e15}, "equal": {7, 7}, "tiny": {1e-12, 2e-12},
	} {
		t.Run(name, func(t *testing.T) {
			b := measure.Benchmark{
				Name: "a/b", Arch: "arm64", Rig: measure.Deterministic, Compare: measure.ByVariant,
				Variants: []measure.Variant{{Name: "x"}, {Name: "y"}}, Metrics: []measure.Metric{{Unit: "ns/op"}},
			}
			for i, v := range values {
				b.Samples = append(b.Samples, measure.Sample{
					Variant:    b.Variants[i].Name,
					Results:    []measure.Result{{Name: "A", N: 1, Values: []measure.Value{{Value: v, Unit: "ns/op"}}}},
					Histograms: []measure.Histogram{{Name: "A", Unit: "ns", Bins: []measure.Bin{{Value: v, Count: 3}}}},
				})
			}
			dir := t.TempDir()
			if err := Write(dir, &measure.Report{Benchmarks: []measure.Benchmark{b}}); err != nil {
				t.Fatal(err)
			}
			page, err := os.ReadFile(filepath.Join(dir, "index.html"))
			if err != nil {
				t.Fatal(err)
			}
			for _, bad := range []string{"NaN", "Inf"} {
				if bytes.Contains(page, []byte(bad)) {
					t.Errorf("the page has a %s", bad)
				}
			}
		})
	}
}

// A reader's font may be wider than the one that texts were placed by.
// Liberation is as wide as Arial: a is 5.56, a blank 2.78 and & 6.67 at 10 px.
func TestTextsKeepTheirWidth(t *testing.T) {
	in := `<text x="1" style="font-family:Liberation Sans;font-size:10px">a &amp; b</text>`
	got := fitText(in)
	want := `<text textLength="23.35" lengthAdjust="spacingAndGlyphs" x="1" style="font-family:Liberation Sans,Arial,sans-serif;font-size:10px">a &amp; b</text>`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
