// Package measure is what benchmarks found out, as data, and what may be
// claimed of it.
//
// # Model
//
// A Report holds benchmarks. A Benchmark ran as several variants (kernels,
// boot parameters, sysctls), each some number of times; one run is a Sample. A
// sample holds results as the probes printed them, in Go's benchmark format
//
//	BenchmarkWake/policy=fifo 800 4416 p50-ns 5024 p99-ns
//
// and histograms in a form of our own beside it
//
//	HistogramWake/policy=fifo wake-ns 4400:512 4416:288
//
// A metric is named by its unit, as in Go: p50-ns. The benchmark's declaration
// says what each means and which direction is better.
//
// # Claims
//
// A table compares columns: the variants, or the values of one key of the
// names (policy=…). The first column is what the others are compared with.
// What may be said depends on how the numbers came about:
//
//   - exact: the rig made two runs that agreed to the nanosecond. There is no
//     noise; any difference is one, of that input on that rig.
//   - sampled: a value is the median of the samples with its confidence
//     interval. A difference is the Hodges-Lehmann estimate with the interval
//     that inverts the Mann-Whitney test (Interval). Where that interval
//     covers zero, nothing is claimed, whatever the medians look like.
//
// Medians and their intervals are golang.org/x/perf/benchmath's. Results are
// written so that benchstat reads them (WriteText).
package measure
