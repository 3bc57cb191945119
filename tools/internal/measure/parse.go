package measure

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// ErrNoResult means that a probe printed no line that is a result.
var ErrNoResult = errors.New("no result was printed: a result is a line such as \"BenchmarkWake/policy=fifo 800 4416 p50-ns\"")

// Parse reads what a probe printed: results, histograms, and whatever else,
// which is passed over. A line that begins as a result and is none is an error
// that names the line.
func Parse(text string) (results []Result, hists []Histogram, err error) {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " \t\r")
		switch {
		case strings.HasPrefix(line, "Benchmark"):
			r, err := parseResult(line)
			if err != nil {
				return nil, nil, fmt.Errorf("line %d of the output, %q: %w", i+1, brief(line), err)
			}
			results = append(results, r)
		case strings.HasPrefix(line, "Histogram"):
			h, err := parseHistogram(line)
			if err != nil {
				return nil, nil, fmt.Errorf("line %d of the output, %q: %w", i+1, brief(line), err)
			}
			hists = append(hists, h)
		}
	}
	if len(results) == 0 {
		return nil, nil, ErrNoResult
	}
	return results, hists, nil
}

func brief(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// nameRE is a name as we want it: Wake/policy=fifo/hogs=4. Go's readers take a
// number after a last "-" for GOMAXPROCS, so no value may end that way.
var nameRE = regexp.MustCompile(`^[A-Z]\w*(?:/[a-z][\w.]*=[^\s/=]+)*$`)

var procsRE = regexp.MustCompile(`-\d+$`)

func checkName(name string) error {
	if !nameRE.MatchString(name) {
		return fmt.Errorf("%q is no name of a result: write Name/key=value/key=value, Name with a capital", name)
	}
	if procsRE.MatchString(name) {
		return fmt.Errorf("the name %q ends in a dash and a number, which Go's tools take for GOMAXPROCS", name)
	}
	return nil
}

func parseResult(line string) (Result, error) {
	r := benchfmt.NewReader(bytes.NewReader([]byte(line+"\n")), "")
	if !r.Scan() {
		if err := r.Err(); err != nil {
			return Result{}, err
		}
		return Result{}, errors.New("it is no result of Go's benchmark format: name, count, then values each with a unit")
	}
	switch rec := r.Result().(type) {
	case *benchfmt.SyntaxError:
		return Result{}, errors.New(rec.Msg)
	case *benchfmt.Result:
		res := Result{Name: string(rec.Name), N: rec.Iters}
		if err := checkName(res.Name); err != nil {
			return Result{}, err
		}
		for _, v := range rec.Values {
			value, unit := v.Value, v.Unit
			if v.OrigUnit != "" {
				value, unit = v.OrigValue, v.OrigUnit
			}
			if math.IsNaN(value) || math.IsInf(value, 0) {
				return Result{}, fmt.Errorf("%v %s is no measurement", value, unit)
			}
			if slices.ContainsFunc(res.Values, func(have Value) bool { return have.Unit == unit }) {
				return Result{}, fmt.Errorf("two values have the unit %s", unit)
			}
			res.Values = append(res.Values, Value{value, unit})
		}
		if len(res.Values) == 0 {
			return Result{}, errors.New("it has no value")
		}
		return res, nil
	}
	return Result{}, errors.New("it is no result")
}

// parseHistogram reads "HistogramNAME UNIT VALUE:COUNT …".
func parseHistogram(line string) (Histogram, error) {
	f := strings.Fields(line)
	h := Histogram{Name: strings.TrimPrefix(f[0], "Histogram")}
	if err := checkName(h.Name); err != nil {
		return h, err
	}
	if len(f) < 3 {
		return h, errors.New("a histogram is its name, a unit, then VALUE:COUNT pairs")
	}
	h.Unit = f[1]
	for _, pair := range f[2:] {
		v, n, ok := strings.Cut(pair, ":")
		value, err1 := strconv.ParseFloat(v, 64)
		count, err2 := strconv.ParseInt(n, 10, 64)
		if !ok || err1 != nil || err2 != nil || count < 0 || math.IsNaN(value) || math.IsInf(value, 0) {
			return h, fmt.Errorf("%q is no VALUE:COUNT", pair)
		}
		if k := len(h.Bins); k > 0 && h.Bins[k-1].Value >= value {
			return h, fmt.Errorf("the values do not rise at %q", pair)
		}
		h.Bins = append(h.Bins, Bin{value, count})
	}
	return h, nil
}

// Check compares the results of one sample with the metrics that were
// declared: each unit must be declared, and each declared one be there.
func Check(results []Result, metrics []Metric) error {
	seen := map[string]bool{}
	for _, r := range results {
		for _, v := range r.Values {
			if !slices.ContainsFunc(metrics, func(m Metric) bool { return m.Unit == v.Unit }) {
				return fmt.Errorf("%s has a value in %q, which is not among the benchmark's metrics", r.Name, v.Unit)
			}
			seen[v.Unit] = true
		}
	}
	for _, m := range metrics {
		if !seen[m.Unit] {
			return fmt.Errorf("no result has the metric %q", m.Unit)
		}
	}
	return nil
}
