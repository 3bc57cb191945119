package cases

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/splat"
	"cloudkernel/tools/internal/yamlfile"
)

// The types below are the scalars of a case file that have a form of their
// own; each refuses what is not of its form.

// Duration is a time, written as Go does: 90s, 2m.
type Duration time.Duration

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	v, err := time.ParseDuration(s)
	if err != nil || v <= 0 {
		return yamlfile.Bad(node, fmt.Errorf("%q is no time: write 90s, 2m or 1h", s))
	}
	*d = Duration(v)
	return nil
}

// Size is an amount of memory in MiB, written 512M or 2G.
type Size int

var sizeRE = regexp.MustCompile(`^(\d{1,7})([MG])$`)

// ParseSize returns the size that s says.
func ParseSize(s string) (Size, error) {
	m := sizeRE.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is no size: write 512M or 2G", s)
	}
	n, err := strconv.Atoi(m[1])
	if m[2] == "G" {
		n *= 1024
	}
	return Size(n), err
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (z *Size) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	*z, err = ParseSize(s)
	return yamlfile.Bad(node, err)
}

// Arch is an architecture by name.
type Arch struct{ *arch.Arch }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (a *Arch) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	a.Arch, err = arch.Parse(s)
	return yamlfile.Bad(node, err)
}

// Word is a name without blanks.
type Word string

var wordRE = regexp.MustCompile(`^[\w.*?:+-]+$`)

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (w *Word) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	if !wordRE.MatchString(s) {
		return yamlfile.Bad(node, fmt.Errorf("%q is not one word", s))
	}
	*w = Word(s)
	return nil
}

// CPU is a CPU as QEMU names it, perhaps with properties:
// cortex-a53,midr=0x410fd033.
type CPU string

var cpuRE = regexp.MustCompile(`^[\w.-]+(?:,[\w.-]+=[\w.-]+)*$`)

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (c *CPU) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	if !cpuRE.MatchString(s) {
		return yamlfile.Bad(node, fmt.Errorf("%q is no CPU: cortex-a53, or cortex-a53,midr=0x410fd033", s))
	}
	*c = CPU(s)
	return nil
}

// Option is a line of kernel configuration: CONFIG_X=y.
type Option string

var optionRE = regexp.MustCompile(`^CONFIG_[A-Z0-9_a-z]+=(?:[ynm]|\d+|0x[0-9a-f]+|".*")$`)

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (o *Option) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	if !optionRE.MatchString(s) {
		return yamlfile.Bad(node, fmt.Errorf("%q is no configuration option: write CONFIG_NAME=y, =n, =m or =VALUE", s))
	}
	*o = Option(s)
	return nil
}

// Holds reports whether the option is so in a kernel's configuration.
func (o Option) Holds(config string) bool {
	name, value, _ := strings.Cut(string(o), "=")
	line := "\n" + name + "="
	if value == "n" {
		return !strings.Contains("\n"+config, line)
	}
	return strings.Contains("\n"+config+"\n", "\n"+string(o)+"\n")
}

// Regexp is a regular expression, in Go's syntax.
type Regexp struct{ *regexp.Regexp }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (r *Regexp) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	// (?m): ^ and $ are the ends of lines, as those who write output expect.
	r.Regexp, err = regexp.Compile("(?m)" + s)
	return yamlfile.Bad(node, err)
}

// String returns the expression as it was written.
func (r Regexp) String() string {
	if r.Regexp == nil {
		return ""
	}
	return strings.TrimPrefix(r.Regexp.String(), "(?m)")
}

// Whole reports whether the expression matches all of s; one that is not set
// matches everything.
func (r Regexp) Whole(s string) bool {
	if r.Regexp == nil {
		return true
	}
	for _, m := range r.FindAllStringIndex(s, -1) {
		if m[0] == 0 && m[1] == len(s) {
			return true
		}
	}
	return false
}

// Outcome is a word of package outcome.
type Outcome outcome.Outcome

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (o *Outcome) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	all := []outcome.Outcome{outcome.Pass, outcome.Fail, outcome.Skip, outcome.Panic, outcome.Hang, outcome.BootFail, outcome.Infra}
	if !slices.Contains(all, outcome.Outcome(s)) {
		return yamlfile.Bad(node, fmt.Errorf("%q is no outcome: it is one of %v", s, all))
	}
	*o = Outcome(s)
	return nil
}

// Kind is a word of package splat.
type Kind splat.Kind

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (k *Kind) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	if !slices.Contains(splat.Kinds, splat.Kind(s)) {
		return yamlfile.Bad(node, fmt.Errorf("%q is no kind of splat: it is one of %v", s, splat.Kinds))
	}
	*k = Kind(s)
	return nil
}

// SelftestRef names kernel selftests as kselftest does: a target of
// tools/testing/selftests ("timers"), or one test of it ("timers:nanosleep").
type SelftestRef struct{ Target, Test string }

var selftestRE = regexp.MustCompile(`^([\w./-]+)(?::([\w.-]+))?$`)

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (r *SelftestRef) UnmarshalYAML(node ast.Node) error {
	s, err := yamlfile.Scalar(node)
	if err != nil {
		return err
	}
	m := selftestRE.FindStringSubmatch(s)
	if m == nil || strings.Contains(m[1], "..") {
		return yamlfile.Bad(node, fmt.Errorf("%q names no selftest: write TARGET or TARGET:TEST", s))
	}
	r.Target, r.Test = m[1], m[2]
	return nil
}

// String returns the name as it was written.
func (r SelftestRef) String() string {
	if r.Test == "" {
		return r.Target
	}
	return r.Target + ":" + r.Test
}

// Strings is a list that may be written as one string.
type Strings []string

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (l *Strings) UnmarshalYAML(node ast.Node) error {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		s, err := yamlfile.Scalar(node)
		*l = Strings{s}
		return err
	}
	*l = nil
	for _, value := range list.Values {
		s, err := yamlfile.Scalar(value)
		if err != nil {
			return err
		}
		*l = append(*l, s)
	}
	return nil
}
