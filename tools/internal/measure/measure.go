package measure

import "time"

// Report is what one call of 'kernlab bench' found out.
type Report struct {
	Made       time.Time   `json:"made"`
	Command    string      `json:"command"` // that makes it again
	Host       Host        `json:"host"`
	Wall       Seconds     `json:"wall_s"`   // of all runs together, without building
	Guests     Seconds     `json:"guests_s"` // of it, while a QEMU was running
	Benchmarks []Benchmark `json:"benchmarks"`
}

// Seconds is a length of time.
type Seconds float64

// Duration returns s as Go's type.
func (s Seconds) Duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// Overhead returns the share of the wall time in which no guest ran: what the
// harness adds to bare guests run one after the other.
func (r *Report) Overhead() float64 {
	if r.Guests <= 0 {
		return 0
	}
	return float64(r.Wall-r.Guests) / float64(r.Guests)
}

// Host is the machine that ran the guests.
type Host struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"` // its release
	QEMU   string `json:"qemu"`   // first line of --version
}

// Rig is how the numbers of a benchmark come about.
type Rig string

// Rigs.
const (
	Deterministic Rig = "deterministic" // time is an instruction count, made twice and compared
	Statistical   Rig = "statistical"   // wall time of repeated runs, variants in turn
)

// Benchmark is one benchmark on one architecture.
type Benchmark struct {
	Name     string      `json:"name"` // topic/name
	Summary  string      `json:"summary"`
	Arch     string      `json:"arch"`
	Rig      Rig         `json:"rig"`
	Machine  string      `json:"machine"` // in words: board, CPUs, memory, accelerator
	Compare  string      `json:"compare"` // "variant", or the key whose values are the columns
	Variants []Variant   `json:"variants"`
	Metrics  []Metric    `json:"metrics"`
	Samples  []Sample    `json:"samples"`
	Repro    string      `json:"repro"` // the command that makes it again
	Breaks   []Breakdown `json:"breakdowns,omitempty"`

	// Outcome is why there are no numbers, or not all: a word of package
	// outcome, and a line. Both are empty when all went well.
	Outcome string `json:"outcome,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// Variant is one way in which a benchmark ran.
type Variant struct {
	Name    string `json:"name"`
	Kernel  string `json:"kernel"`  // key of the kernel in the store
	Release string `json:"release"` // as uname -r has it
	Cmdline string `json:"cmdline,omitempty"`
}

// Metric is a unit of results, and what it means.
type Metric struct {
	Unit   string `json:"unit"`
	What   string `json:"what"`
	Better Better `json:"better,omitempty"`
	// Tolerance is by how much it may get worse before a comparison with a
	// baseline calls it a regression, as a share: 0.01 is 1 %.
	Tolerance float64 `json:"tolerance,omitempty"`
}

// Better is the direction in which a metric improves; "" is none.
type Better string

// Directions.
const (
	Lower  Better = "lower"
	Higher Better = "higher"
)

// Sample is one run.
type Sample struct {
	Variant    string      `json:"variant"`
	Round      int         `json:"round"`  // from 0
	Wall       Seconds     `json:"wall_s"` // of its guest
	Results    []Result    `json:"results"`
	Histograms []Histogram `json:"histograms,omitempty"`
}

// Result is one line of Go's benchmark format.
type Result struct {
	Name   string  `json:"name"` // without "Benchmark": Wake/policy=fifo
	N      int     `json:"n"`    // of what the values are averages
	Values []Value `json:"values"`
}

// Value is a measurement.
type Value struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Histogram is a distribution that a probe counted.
type Histogram struct {
	Name string `json:"name"` // of the result that it belongs to
	Unit string `json:"unit"`
	Bins []Bin  `json:"bins"` // by rising value
}

// Bin says how often a value was seen, to the probe's resolution.
type Bin struct {
	Value float64 `json:"value"`
	Count int64   `json:"count"`
}

// Breakdown says what a whole is made of: a boot, its stages.
type Breakdown struct {
	Title   string `json:"title"`
	Variant string `json:"variant"`
	Unit    string `json:"unit"`
	Parts   []Part `json:"parts"`
}

// Part is one of them.
type Part struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}
