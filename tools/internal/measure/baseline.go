package measure

import (
	"fmt"
	"slices"
)

// Change is how one result stands to the same result of a baseline.
type Change struct {
	Bench, Arch, Variant, Name string
	Metric                     Metric
	Old, New                   *Cell // New.Delta is against Old
	Regression                 bool  // it got worse, beyond interval and tolerance
}

// Against compares a report with an earlier one, result by result. Notes say
// what makes the comparison weaker than it looks, and what had no counterpart.
func (r *Report) Against(base *Report) (changes []Change, notes []string) {
	note := func(format string, args ...any) {
		if s := fmt.Sprintf(format, args...); !slices.Contains(notes, s) {
			notes = append(notes, s)
		}
	}
	compared := 0
	for i := range r.Benchmarks {
		b := &r.Benchmarks[i]
		j := slices.IndexFunc(base.Benchmarks, func(o Benchmark) bool { return o.Name == b.Name && o.Arch == b.Arch })
		if j < 0 {
			note("%s on %s is not in the baseline", b.Name, b.Arch)
			continue
		}
		old := &base.Benchmarks[j]
		if old.Rig != b.Rig {
			note("%s: the baseline ran on the %s rig, this is %s: not compared", b.Name, old.Rig, b.Rig)
			continue
		}
		if old.Machine != b.Machine {
			note("%s: the baseline's guest was %s, this one's %s: not compared", b.Name, old.Machine, b.Machine)
			continue
		}
		if b.Rig == Statistical && (base.Host.CPU != r.Host.CPU || base.Host.QEMU != r.Host.QEMU) {
			note("%s: the baseline was made on another host or with another QEMU (%s, %s): not compared", b.Name, base.Host.CPU, base.Host.QEMU)
			continue
		}
		was, now := old.flat(), b.flat()
		for _, k := range now.order {
			have := was.values[k]
			if len(have) == 0 {
				note("%s: %s of %s (%s) is not in the baseline", b.Name, k.unit, k.name, k.variant)
				continue
			}
			compared++
			m := b.metric(k.unit)
			c := Change{Bench: b.Name, Arch: b.Arch, Variant: k.variant, Name: k.name, Metric: m, Old: b.cell(have), New: b.cell(now.values[k])}
			c.New.Delta = compare(c.Old, c.New, m.Better)
			c.Regression = c.New.Delta.regression(m)
			changes = append(changes, c)
		}
	}
	if compared == 0 {
		note("nothing was compared with the baseline")
	}
	return changes, notes
}

// regression reports whether all of the interval is worse than tolerated.
func (d *Delta) regression(m Metric) bool {
	if d.Verdict != Worse {
		return false
	}
	if m.Better == Higher {
		return -d.Hi > m.Tolerance
	}
	return d.Lo > m.Tolerance
}

type flatKey struct{ variant, name, unit string }

type flat struct {
	order  []flatKey
	values map[flatKey][]float64
}

// flat returns the values of each result.
func (b *Benchmark) flat() flat {
	f := flat{values: map[flatKey][]float64{}}
	for _, s := range b.Samples {
		for _, r := range s.Results {
			for _, v := range r.Values {
				k := flatKey{s.Variant, r.Name, v.Unit}
				if f.values[k] == nil {
					f.order = append(f.order, k)
				}
				f.values[k] = append(f.values[k], v.Value)
			}
		}
	}
	return f
}

func (b *Benchmark) metric(unit string) Metric {
	for _, m := range b.Metrics {
		if m.Unit == unit {
			return m
		}
	}
	return Metric{Unit: unit}
}
