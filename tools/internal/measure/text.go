package measure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// Keys of the configuration lines in Go's benchmark format.
const (
	keyBench   = "bench"
	keyVariant = "variant"
	keyArch    = "arch"
	keyRig     = "rig"
	keyMachine = "machine"
	keyCPU     = "host-cpu"
	keyQEMU    = "host-qemu"
)

// WriteText writes the results in Go's benchmark format, for benchstat:
//
//	benchstat -col variant results.txt
//
// What differs from one variant to the next, but for its name, is not in the
// configuration lines: benchstat compares only what has all others in common.
//
// https://golang.org/design/14313-benchmark-format
func (r *Report) WriteText(w io.Writer) error {
	out := benchfmt.NewWriter(w)
	units := map[string]bool{}
	for _, b := range r.Benchmarks {
		for _, m := range b.Metrics {
			meta := map[string]string{}
			if m.Better != "" {
				meta["better"] = string(m.Better)
			}
			if b.Rig == Deterministic {
				meta["assume"] = "exact"
			}
			for _, key := range slices.Sorted(keys(meta)) {
				if units[m.Unit+" "+key] {
					continue
				}
				units[m.Unit+" "+key] = true
				if err := out.Write(&benchfmt.UnitMetadata{
					UnitMetadataKey: benchfmt.UnitMetadataKey{Unit: m.Unit, Key: key},
					OrigUnit:        m.Unit, Value: meta[key],
				}); err != nil {
					return err
				}
			}
		}
	}
	for _, b := range r.Benchmarks {
		for _, s := range b.Samples {
			for _, res := range s.Results {
				rec := &benchfmt.Result{Name: benchfmt.Name(res.Name), Iters: res.N}
				for _, kv := range [][2]string{
					{keyBench, b.Name}, {keyArch, b.Arch}, {keyRig, string(b.Rig)}, {keyMachine, b.Machine},
					{keyVariant, s.Variant}, {keyCPU, r.Host.CPU}, {keyQEMU, r.Host.QEMU},
				} {
					if kv[1] != "" {
						rec.Config = append(rec.Config, benchfmt.Config{Key: kv[0], Value: []byte(kv[1]), File: true})
					}
				}
				for _, v := range res.Values {
					rec.Values = append(rec.Values, benchfmt.Value{Value: v.Value, Unit: v.Unit})
				}
				if err := out.Write(rec); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func keys(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// WriteJSON writes the report whole.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// ReadFile reads a report: JSON whole, or what Go's benchmark format keeps of
// one.
func ReadFile(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := Read(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

// Read is ReadFile of what is in the file.
func Read(data []byte) (*Report, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		r := &Report{}
		if err := json.Unmarshal(data, r); err != nil {
			return nil, err
		}
		if len(r.Benchmarks) == 0 {
			return nil, errors.New("it is JSON, but no report of 'kernlab bench': it holds no benchmarks")
		}
		return r, nil
	}
	return readText(data)
}

// readText reads Go's benchmark format. Each line becomes a sample of its own.
func readText(data []byte) (*Report, error) {
	rep := &Report{}
	rd := benchfmt.NewReader(bytes.NewReader(data), "")
	for rd.Scan() {
		switch rec := rd.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, fmt.Errorf("line %d: %s", rec.Line, rec.Msg)
		case *benchfmt.Result:
			name := rec.GetConfig(keyBench)
			if name == "" {
				_, line := rec.Pos()
				return nil, fmt.Errorf("line %d: a result without a line \"bench: topic/name\" before it; it was not written by 'kernlab bench'", line)
			}
			rep.Host.CPU, rep.Host.QEMU = rec.GetConfig(keyCPU), rec.GetConfig(keyQEMU)
			arch := rec.GetConfig(keyArch)
			i := slices.IndexFunc(rep.Benchmarks, func(b Benchmark) bool { return b.Name == name && b.Arch == arch })
			if i < 0 {
				rep.Benchmarks = append(rep.Benchmarks, Benchmark{
					Name: name, Arch: arch, Rig: Rig(rec.GetConfig(keyRig)), Machine: rec.GetConfig(keyMachine), Compare: ByVariant,
				})
				i = len(rep.Benchmarks) - 1
			}
			b := &rep.Benchmarks[i]
			variant := rec.GetConfig(keyVariant)
			if !slices.ContainsFunc(b.Variants, func(v Variant) bool { return v.Name == variant }) {
				b.Variants = append(b.Variants, Variant{Name: variant})
			}
			res := Result{Name: strings.Clone(string(rec.Name)), N: rec.Iters}
			for _, v := range rec.Values {
				value, unit := v.Value, v.Unit
				if v.OrigUnit != "" {
					value, unit = v.OrigValue, v.OrigUnit
				}
				res.Values = append(res.Values, Value{value, unit})
			}
			b.Samples = append(b.Samples, Sample{Variant: variant, Results: []Result{res}})
		}
	}
	if err := rd.Err(); err != nil {
		return nil, err
	}
	if len(rep.Benchmarks) == 0 {
		return nil, errors.New("it holds no results, neither as JSON nor in Go's benchmark format")
	}
	return rep, nil
}
