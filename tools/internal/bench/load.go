package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/measure"
	"cloudkernel/tools/internal/yamlfile"
)

// Subdir is the directory of a topic's benchmarks, below the topic's own.
const Subdir = "bench"

// Load reads every benchmark below dir, which is the repository's qemu-tests.
// root is the repository: diagnostics name files relative to it. The
// benchmarks are sorted by name. The error is a diag.List of everything wrong
// in all files.
func Load(root, dir string) ([]*Benchmark, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", Subdir, "*"+cases.Ext))
	if err != nil {
		return nil, err
	}
	var list []*Benchmark
	var diags diag.List
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := file
		if rel, err := filepath.Rel(root, file); err == nil {
			name = rel
		}
		b, err := Parse(name, data)
		if err != nil {
			var l diag.List
			if !errors.As(err, &l) {
				return nil, err
			}
			diags = append(diags, l...)
		}
		if b == nil {
			continue
		}
		b.Path = file
		list = append(list, b)
		diags = append(diags, b.missing(name)...)
	}
	slices.SortFunc(list, func(a, b *Benchmark) int { return strings.Compare(a.Name, b.Name) })
	return list, diags.Err()
}

// Parse reads one benchmark. name is the file's name,
// …/<topic>/bench/<name>.yaml. The error is a diag.List; with one about values
// the benchmark is returned all the same.
func Parse(name string, data []byte) (*Benchmark, error) {
	b := &Benchmark{}
	file, err := yamlfile.Decode(name, data, b)
	if err != nil {
		return nil, err
	}
	b.Path = name
	b.Topic = filepath.Base(filepath.Dir(filepath.Dir(name)))
	b.Name = b.Topic + "/" + strings.TrimSuffix(filepath.Base(name), cases.Ext)
	if b.Compare == "" {
		b.Compare = measure.ByVariant
	}
	if len(b.Variants) == 0 {
		b.Variants = []Variant{{Name: "series"}}
	}
	if b.Boot {
		b.Metrics = append(b.Metrics, bootMetrics(b.rig())...)
	}
	return b, b.check(file).Err()
}

var compareRE = regexp.MustCompile(`^[a-z][\w.]*$`)

var unitRE = regexp.MustCompile(`^[A-Za-z%][\w%/.-]*$`)

// check returns what is wrong with the values.
func (b *Benchmark) check(f *yamlfile.File) (l diag.List) {
	bad := func(path, hint, format string, args ...any) {
		l = append(l, f.At(path, fmt.Sprintf(format, args...), hint))
	}
	switch {
	case b.Summary == "":
		bad("$", "add 'summary: what it measures, in one line'", "no summary")
	case strings.Contains(b.Summary, "\n"):
		bad("$.summary", "", "the summary is more than one line")
	}
	if strings.TrimSpace(b.Run) == "" && !b.Boot {
		bad("$", "add 'run: ./probe'", "nothing runs")
	}
	if b.Boot && b.Run != "" {
		bad("$.run", "", "a benchmark of boots runs nothing")
	}
	if len(b.Metrics) == 0 {
		bad("$", "add metrics: a list of {unit: ns/op, what: …, better: lower}", "no metrics")
	}
	if b.Count < 0 || b.Count > 1000 {
		bad("$.count", "", "%d samples: a variant has 1 to 1000", b.Count)
	}
	if !compareRE.MatchString(b.Compare) {
		bad("$.compare", "write variant, or a key of the results' names such as policy", "%q cannot be compared", b.Compare)
	}
	b.checkRig(bad)
	b.checkMetrics(bad)
	names := map[string]bool{}
	for i, v := range b.Variants {
		at := fmt.Sprintf("$.variants[%d]", i)
		if names[v.Name] {
			bad(at, "", "two variants are called %q", v.Name)
		}
		names[v.Name] = true
		b.checkType(at, v.Machine, bad)
	}
	b.checkType("$.machine.type", b.Machine.Type, bad)
	return l
}

// checkRig returns what the rig cannot have.
func (b *Benchmark) checkRig(bad func(path, hint, format string, args ...any)) {
	if b.Machine.Deterministic {
		bad("$.machine.deterministic", "", "write 'rig: deterministic' instead")
	}
	if b.Machine.Memory != 0 && b.Machine.Memory < 64 {
		bad("$.machine.memory", "", "%d MiB: a guest needs 64 at least", b.Machine.Memory)
	}
	if b.Machine.CPUs < 0 || b.Machine.CPUs > 64 {
		bad("$.machine.cpus", "", "%d CPUs: a machine has 1 to 64", b.Machine.CPUs)
	}
	if b.rig() != measure.Deterministic {
		return
	}
	const why = "the deterministic rig has nothing that waits for the host; bring programs along, or use 'rig: statistical'"
	if b.Machine.CPUs > 1 {
		bad("$.machine.cpus", "", "the deterministic rig has one CPU")
	}
	if len(b.Machine.Packages) > 0 {
		bad("$.machine.packages", why, "packages are on a disk")
	}
	if b.Machine.Network {
		bad("$.machine.network", why, "no network")
	}
	if b.Count != 0 {
		bad("$.count", "", "the deterministic rig makes every trial twice, and no more: there is no noise to average")
	}
}

func (b *Benchmark) checkMetrics(bad func(path, hint, format string, args ...any)) {
	units := map[string]bool{}
	for i, m := range b.Metrics {
		at := fmt.Sprintf("$.metrics[%d]", i)
		switch {
		case !unitRE.MatchString(m.Unit):
			bad(at+".unit", "units are Go's: ns/op, p99-ns, B/s, %", "%q is no unit", m.Unit)
		case units[m.Unit]:
			bad(at+".unit", "", "two metrics have the unit %s", m.Unit)
		}
		units[m.Unit] = true
		if m.What == "" {
			bad(at, "add 'what: the time from … to …'", "the metric %s does not say what it is", m.Unit)
		}
	}
}

func (b *Benchmark) checkType(at, typ string, bad func(path, hint, format string, args ...any)) {
	if typ == "" {
		return
	}
	if len(b.Machine.Arch) != 1 {
		bad(at, "add 'arch: [arm64]' or 'arch: [x86_64]' to machine", "a machine type belongs to one architecture")
		return
	}
	if have := machine.Machines(b.Machine.Arch[0].Arch); !slices.Contains(have, typ) {
		bad(at, "it is one of "+strings.Join(have, ", "), "no machine type %q on %s", typ, b.Machine.Arch[0])
	}
}

// missing returns a diagnostic for each file that the benchmark names and its
// directory lacks.
func (b *Benchmark) missing(name string) (l diag.List) {
	var patches []string
	for _, h := range b.Hotpatches {
		patches = append(patches, h.Patches...)
	}
	for _, group := range []struct {
		key   string
		files []string
	}{{"files", b.Files}, {"programs", b.Programs}, {"modules", b.Modules}, {"hotpatches", patches}} {
		for _, file := range group.files {
			if !filepath.IsLocal(filepath.Join(b.Topic, Subdir, file)) {
				l.Addf(name, 0, "%s: %q leads out of qemu-tests", group.key, file)
				continue
			}
			if _, err := os.Stat(filepath.Join(b.Dir(), file)); errors.Is(err, fs.ErrNotExist) {
				l.Addf(name, 0, "%s: there is no %s", group.key, filepath.Join(filepath.Dir(name), file))
			}
		}
	}
	return l
}
