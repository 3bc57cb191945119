package cases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/diag"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/yamlfile"
)

// Ext is the ending of case files.
const Ext = ".yaml"

// maxNodes is how many NUMA nodes a machine can have: more than any case needs.
const maxNodes = 8

// Load reads every case below dir, which is the repository's qemu-tests. root
// is the repository: diagnostics name files relative to it. The cases are
// sorted by name. The error is a diag.List of everything wrong in all files.
func Load(root, dir string) ([]*Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"+Ext))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no cases in %s", dir)
	}
	var list []*Case
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
		c, err := Parse(name, data)
		if err != nil {
			diags = append(diags, asList(err)...)
		}
		if c == nil {
			continue
		}
		c.Path = file
		list = append(list, c)
		diags = append(diags, c.missing(name)...)
	}
	slices.SortFunc(list, func(a, b *Case) int { return strings.Compare(a.Name, b.Name) })
	return list, diags.Err()
}

func asList(err error) diag.List {
	var l diag.List
	if errors.As(err, &l) {
		return l
	}
	return diag.List{{Msg: err.Error()}}
}

// Parse reads one case. name is the file's name, whose last two elements name
// the case. The error is a diag.List; with one about values the case is
// returned all the same.
func Parse(name string, data []byte) (*Case, error) {
	c := &Case{}
	file, err := yamlfile.Decode(name, data, c)
	if err != nil {
		return nil, err
	}
	c.Path = name
	c.Topic = filepath.Base(filepath.Dir(name))
	c.Name = c.Topic + "/" + strings.TrimSuffix(filepath.Base(name), Ext)
	return c, c.check(file).Err()
}

// check returns what is wrong with the values.
func (c *Case) check(f *yamlfile.File) (l diag.List) {
	bad := func(path, hint, format string, args ...any) {
		l = append(l, f.At(path, fmt.Sprintf(format, args...), hint))
	}
	if c.Summary == "" {
		bad("$", "add 'summary: what it shows, in one line'", "no summary")
	}
	if strings.Contains(c.Summary, "\n") {
		bad("$.summary", "", "the summary is more than one line")
	}
	if len(c.Steps)+len(c.Selftests)+len(c.KUnit) == 0 {
		bad("$", "add steps, selftests or kunit", "nothing runs")
	}
	if c.Machine.CPUs < 0 || c.Machine.CPUs > 64 {
		bad("$.machine.cpus", "", "%d CPUs: a machine has 1 to 64", c.Machine.CPUs)
	}
	if c.Machine.Deterministic && c.Machine.CPUs > 1 {
		bad("$.machine.cpus", "", "a deterministic machine has one CPU")
	}
	switch n := c.Machine.InstructionNs; {
	case n == 0:
	case !c.Machine.Deterministic:
		bad("$.machine.instruction-ns", "add 'deterministic: true'", "only a deterministic machine counts instructions")
	case n < 0 || n > machine.MaxInstructionNs || n&(n-1) != 0:
		bad("$.machine.instruction-ns", "", "%d ns: it is a power of two up to %d", n, machine.MaxInstructionNs)
	}
	if c.Machine.Memory != 0 && c.Machine.Memory < 64 {
		bad("$.machine.memory", "", "%d MiB: a guest needs 64 at least", c.Machine.Memory)
	}
	if c.Machine.CPUModel != "" && len(c.Machine.Arch) != 1 {
		bad("$.machine.cpu-model", "add 'arch: [arm64]' or 'arch: [x86_64]'", "a CPU model belongs to one architecture")
	}
	if n := c.Machine.Nodes; n < 0 || n > maxNodes {
		bad("$.machine.nodes", "", "%d NUMA nodes: a machine has up to %d", n, maxNodes)
	}
	c.checkType(bad)
	c.checkHotpatches(bad)
	names := map[string]bool{}
	for i := range c.Steps {
		c.checkStep(i, names, bad)
	}
	if c.Shared && c.Want() != outcome.Pass {
		bad("$.shared", "", "a guest that is expected to end as %s cannot be shared", c.Want())
	}
	if c.Shared && len(c.KUnit) > 0 {
		bad("$.shared", "", "KUnit suites run while a guest boots: it cannot be shared")
	}
	if c.Expect.Reason.Regexp != nil && c.Want() == outcome.Pass {
		bad("$.expect.reason", "set expect.outcome too", "a pass has no reason")
	}
	if c.Expect.After != 0 && c.Want() == outcome.Pass {
		bad("$.expect.after", "set expect.outcome to panic, or to fail for a kernel that ends by itself", "a guest whose kernel is gone is no pass")
	}
	for i, s := range c.Expect.Splats {
		if s.Kind == "" && s.Title.Regexp == nil {
			bad(fmt.Sprintf("$.expect.splats[%d]", i), "", "neither kind nor title")
		}
	}
	return l
}

func (c *Case) checkHotpatches(bad func(path, hint, format string, args ...any)) {
	names := map[Word]bool{}
	for i, h := range c.Hotpatches {
		at := fmt.Sprintf("$.hotpatches[%d]", i)
		switch {
		case h.Name == "":
			bad(at, "add 'name: fix': the module is fix.ko", "a hotpatch has no name")
		case names[h.Name]:
			bad(at, "", "two hotpatches are called %s", h.Name)
		}
		names[h.Name] = true
		if len(h.Patches) == 0 {
			bad(at, "add 'patches: [fix.patch]'", "a hotpatch is made from no patch")
		}
	}
	if len(c.Hotpatches) > 0 && c.On(arch.X86_64) {
		bad("$.machine.arch", "add 'arch: [arm64]' to machine", "hotpatches are made for arm64 only")
	}
}

func (c *Case) checkType(bad func(path, hint, format string, args ...any)) {
	if c.Machine.Type == "" {
		return
	}
	if len(c.Machine.Arch) != 1 {
		bad("$.machine.type", "add 'arch: [arm64]' or 'arch: [x86_64]'", "a machine type belongs to one architecture")
		return
	}
	if have := machine.Machines(c.Machine.Arch[0].Arch); !slices.Contains(have, c.Machine.Type) {
		bad("$.machine.type", "it is one of "+strings.Join(have, ", "), "no machine type %q on %s", c.Machine.Type, c.Machine.Arch[0])
	}
}

func (c *Case) checkStep(i int, names map[string]bool, bad func(path, hint, format string, args ...any)) {
	s := &c.Steps[i]
	at := fmt.Sprintf("$.steps[%d]", i)
	if strings.TrimSpace(s.Run) == "" {
		bad(at, "add 'run: |' and shell lines", "a step that runs nothing")
	}
	switch {
	case s.Name == "" && len(c.Steps) > 1:
		bad(at, "the report names steps that failed", "one of several steps has no name")
	case names[s.Name]:
		bad(at+".name", "", "two steps are called %q", s.Name)
	}
	names[s.Name] = true
	for n, line := range s.Monitor {
		if strings.TrimSpace(line) == "" || strings.ContainsRune(line, '\n') {
			bad(fmt.Sprintf("%s.monitor[%d]", at, n), "it is one line as one would type it", "%q is no monitor command", line)
		}
	}
	if s.Exit != nil && (*s.Exit < 0 || *s.Exit > 255) {
		bad(at+".exit", "", "%d is no exit code", *s.Exit)
	}
	if s.User < 0 {
		bad(at+".user", "", "%d is no user id", s.User)
	}
	for name, m := range map[string]*Match{"stdout": s.Stdout, "stderr": s.Stderr, "dmesg": s.Dmesg} {
		if m != nil && m.empty() {
			bad(at+"."+name, "use equals, contains, lacks or matches", "%s asks for nothing", name)
		}
	}
}

// missing returns a diagnostic for each file that the case names and its
// directory lacks.
func (c *Case) missing(name string) (l diag.List) {
	var patches []string
	for _, h := range c.Hotpatches {
		patches = append(patches, h.Patches...)
	}
	for _, group := range []struct {
		key   string
		files []string
	}{{"files", c.Files}, {"programs", c.Programs}, {"modules", c.Modules}, {"hotpatches", patches}} {
		for _, file := range group.files {
			if !filepath.IsLocal(file) {
				l.Addf(name, 0, "%s: %q leads out of the case's directory", group.key, file)
				continue
			}
			if _, err := os.Stat(filepath.Join(c.Dir(), file)); errors.Is(err, fs.ErrNotExist) {
				l.Addf(name, 0, "%s: there is no %s", group.key, filepath.Join(filepath.Dir(name), file))
			}
		}
	}
	return l
}
