package bench

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/measure"
	"cloudkernel/tools/internal/yamlfile"
)

// Benchmark is one benchmark as it is declared. The fields without a key are
// not in the file. qemu-tests/README.md describes the format for those who
// write benchmarks.
type Benchmark struct {
	Name  string `yaml:"-"` // topic/name
	Topic string `yaml:"-"`
	Path  string `yaml:"-"` // of the file

	Summary string       `yaml:"summary"`
	Tags    []cases.Word `yaml:"tags"`

	Rig     RigName       `yaml:"rig"`
	Machine cases.Machine `yaml:"machine"`
	Kernel  cases.Kernel  `yaml:"kernel"`

	// Boot makes the boot itself what is measured.
	Boot    bool           `yaml:"boot"`
	Count   int            `yaml:"count"`   // samples of each variant, on the statistical rig
	Timeout cases.Duration `yaml:"timeout"` // of one trial, wall time

	Files      []string            `yaml:"files"`
	Programs   []string            `yaml:"programs"`
	Modules    []string            `yaml:"modules"`
	Hotpatches []cases.Hotpatch    `yaml:"hotpatches"`
	Selftests  []cases.SelftestRef `yaml:"selftests"`

	Variants []Variant `yaml:"variants"` // default: the series
	Compare  string    `yaml:"compare"`  // "variant", or a key of the results' names

	Run     string   `yaml:"run"` // the script
	Metrics []Metric `yaml:"metrics"`
}

// Metric is a unit that the probe prints.
type Metric struct {
	Unit      string  `yaml:"unit"`
	What      string  `yaml:"what"`
	Better    Better  `yaml:"better"`
	Tolerance Percent `yaml:"tolerance"`
}

// DefaultCount is how many samples of each variant there are if nothing is
// said: enough for an interval of the median at 95 % that is not its extremes.
const DefaultCount = 10

// Dir returns the directory the benchmark's own files are in.
func (b *Benchmark) Dir() string { return filepath.Dir(b.Path) }

// On reports whether the benchmark runs on an architecture.
func (b *Benchmark) On(a *arch.Arch) bool { return (&cases.Case{Machine: b.Machine}).On(a) }

// rig returns the rig with its default.
func (b *Benchmark) rig() measure.Rig {
	if b.Rig == "" {
		return measure.Statistical
	}
	return measure.Rig(b.Rig)
}

// metrics returns the metrics as data.
func (b *Benchmark) metrics() []measure.Metric {
	list := make([]measure.Metric, 0, len(b.Metrics))
	for _, m := range b.Metrics {
		list = append(list, measure.Metric{Unit: m.Unit, What: m.What, Better: measure.Better(m.Better), Tolerance: float64(m.Tolerance)})
	}
	return list
}

// RigName is a rig by name.
type RigName measure.Rig

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (r *RigName) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	if s != string(measure.Deterministic) && s != string(measure.Statistical) {
		return yamlfile.Bad(node, fmt.Errorf("%q is no rig: it is %s or %s", s, measure.Deterministic, measure.Statistical))
	}
	*r = RigName(s)
	return nil
}

// Better is a direction by name.
type Better measure.Better

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (b *Better) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	if s != string(measure.Lower) && s != string(measure.Higher) {
		return yamlfile.Bad(node, fmt.Errorf("%q is no direction: what is better is %s or %s", s, measure.Lower, measure.Higher))
	}
	*b = Better(s)
	return nil
}

// Percent is a share, written 2%.
type Percent float64

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (p *Percent) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	text, ok := strings.CutSuffix(s, "%")
	v, perr := strconv.ParseFloat(text, 64)
	if !ok || perr != nil || v < 0 || v > 100 {
		return yamlfile.Bad(node, fmt.Errorf("%q is no percentage: write 2%% or 0.5%%", s))
	}
	*p = Percent(v / 100)
	return nil
}
