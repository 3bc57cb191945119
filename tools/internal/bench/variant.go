package bench

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/yamlfile"
)

// Variant is one way of running a benchmark. It is written as terms with
// blanks between them, each of which changes one thing:
//
//	series            the kernel of the whole series (what no other term changes)
//	plain             the base, without the series
//	without:TOPIC     the series without a topic
//	profile:NAME      a configuration profile
//	option:CONFIG_X=y one more option
//	boot:ARGUMENT     one more word of the kernel's command line
//	sysctl:NAME=VALUE set before the script runs
//	machine:TYPE      QEMU's machine
//	initramfs:SIZE    an initramfs with so many MiB of ballast: 16M
type Variant struct {
	Name string // default: the terms

	Plain     bool
	Without   []string
	Profile   string
	Options   []string
	Boot      []string
	Sysctls   []string // NAME=VALUE
	Machine   string
	Initramfs int // MiB
}

// terms maps each kind of term to what it does. A term that takes no value is
// given "".
var terms = map[string]func(v *Variant, value string) error{
	"series": func(*Variant, string) error { return nil },
	"plain":  func(v *Variant, _ string) error { v.Plain = true; return nil },
	"without": func(v *Variant, s string) error {
		v.Without = append(v.Without, strings.Split(s, ",")...)
		return nil
	},
	"profile": func(v *Variant, s string) error { v.Profile = s; return nil },
	"option":  func(v *Variant, s string) error { v.Options = append(v.Options, s); return nil },
	"boot":    func(v *Variant, s string) error { v.Boot = append(v.Boot, s); return nil },
	"machine": func(v *Variant, s string) error { v.Machine = s; return nil },
	"sysctl": func(v *Variant, s string) error {
		if !sysctlRE.MatchString(s) {
			return fmt.Errorf("sysctl:%s: write sysctl:NAME=VALUE, such as sysctl:kernel.watch_host_pid=1", s)
		}
		v.Sysctls = append(v.Sysctls, s)
		return nil
	},
	"initramfs": func(v *Variant, s string) error {
		n, err := strconv.Atoi(strings.TrimSuffix(s, "M"))
		if err != nil || !strings.HasSuffix(s, "M") || n < 1 || n > 1024 {
			return fmt.Errorf("initramfs:%s: write a size from 1M to 1024M", s)
		}
		v.Initramfs = n
		return nil
	},
}

// alone are the terms without a value.
var alone = []string{"series", "plain"}

var sysctlRE = regexp.MustCompile(`^[\w.-]+=[^\s']+$`)

// ParseVariant reads a variant.
func ParseVariant(text string) (Variant, error) {
	v := Variant{Name: strings.Join(strings.Fields(text), " ")}
	if v.Name == "" {
		return v, fmt.Errorf("an empty variant: write series, plain, without:TOPIC or another of %s", kinds())
	}
	for _, term := range strings.Fields(text) {
		kind, value, has := strings.Cut(term, ":")
		do := terms[kind]
		switch {
		case do == nil:
			return v, fmt.Errorf("%q is no variant: a term is one of %s", term, kinds())
		case has == slices.Contains(alone, kind):
			if has {
				return v, fmt.Errorf("%q: %s takes no value", term, kind)
			}
			return v, fmt.Errorf("%q: write %s:VALUE", term, kind)
		case has && value == "":
			return v, fmt.Errorf("%q: the value after the colon is missing", term)
		}
		if err := do(&v, value); err != nil {
			return v, err
		}
	}
	if v.Plain && len(v.Without) > 0 {
		return v, fmt.Errorf("%q: the plain base has no topic that could be left out", v.Name)
	}
	return v, nil
}

// kinds lists the terms.
func kinds() string {
	var list []string
	for k := range terms {
		if !slices.Contains(alone, k) {
			k += ":"
		}
		list = append(list, k)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// UnmarshalYAML implements yaml.NodeUnmarshaler: the terms, or a map with
// their name.
func (v *Variant) UnmarshalYAML(node ast.Node) error {
	m, ok := node.(*ast.MappingNode)
	if !ok {
		s, err := yamlfile.Scalar(node)
		if err != nil {
			return err
		}
		*v, err = ParseVariant(s)
		return yamlfile.Bad(node, err)
	}
	var named struct {
		Name string `yaml:"name"`
		Is   string `yaml:"is"`
	}
	if err := yaml.NodeToValue(m, &named, yaml.Strict()); err != nil {
		return yamlfile.Bad(node, fmt.Errorf("a variant is its terms, or {name: off, is: terms}"))
	}
	if named.Name == "" || named.Is == "" {
		return yamlfile.Bad(node, fmt.Errorf("a named variant has both: {name: off, is: boot:dmem=off}"))
	}
	parsed, err := ParseVariant(named.Is)
	if err != nil {
		return yamlfile.Bad(node, err)
	}
	*v = parsed
	v.Name = named.Name
	return nil
}

// request returns the variant's kernel, given what is common to all.
func (v Variant) request(all kernel.Request) kernel.Request {
	all.Plain = all.Plain || v.Plain
	all.Without = append(slices.Clone(all.Without), v.Without...)
	all.Options = append(slices.Clone(all.Options), v.Options...)
	if v.Profile != "" {
		all.Profile = v.Profile
	}
	return all
}

// setup returns the lines of shell that set the variant's sysctls.
func (v Variant) setup() string {
	var b strings.Builder
	for _, s := range v.Sysctls {
		name, value, _ := strings.Cut(s, "=")
		file := path.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
		fmt.Fprintf(&b, "echo '%s' >%s\n", value, file)
	}
	return b.String()
}
