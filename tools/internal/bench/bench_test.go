package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/measure"
)

const good = `summary: s
run: ./p
metrics:
  - {unit: ns/op, what: w, better: lower}
`

func TestParseErrors(t *testing.T) {
	const file = "qemu-tests/t/bench/b.yaml"
	for _, tt := range []struct{ name, text, want string }{
		{"good", good, ""},
		{"good variants", good + "variants: [plain, 'series boot:quiet', {name: off, is: sysctl:a.b=1}]\n", ""},
		{"no summary", strings.Replace(good, "summary: s\n", "", 1), file + ": no summary"},
		{"nothing runs", strings.Replace(good, "run: ./p\n", "", 1), "nothing runs"},
		{"no metrics", "summary: s\nrun: x\n", "no metrics"},
		{"typo", good + "variant: [plain]\n", file + `:5:1: unknown key "variant" (did you mean "variants"?)`},
		{"bad rig", good + "rig: exact\n", file + `:5:6: "exact" is no rig`},
		{"bad direction", strings.Replace(good, "lower", "less", 1), `"less" is no direction`},
		{"bad unit", strings.Replace(good, "ns/op", "'a b'", 1), `"a b" is no unit`},
		{"no meaning", strings.Replace(good, "what: w, ", "", 1), "does not say what it is"},
		{"same unit twice", good + "  - {unit: ns/op, what: w}\n", "two metrics have the unit ns/op"},
		{"bad tolerance", strings.Replace(good, "what: w", "what: w, tolerance: 2", 1), `"2" is no percentage`},
		{"bad variant", good + "variants: [plane]\n", file + `:5:12: "plane" is no variant`},
		{"same variant twice", good + "variants: [plain, plain]\n", `two variants are called "plain"`},
		{"half a variant", good + "variants: [{name: x}]\n", "a named variant has both"},
		{"packages on the exact rig", good + "rig: deterministic\nmachine:\n  packages: [rt-tests]\n", file + ":7:13: packages are on a disk (the deterministic rig has nothing that waits for the host"},
		{"CPUs on the exact rig", good + "rig: deterministic\nmachine:\n  cpus: 2\n", "has one CPU"},
		{"samples on the exact rig", good + "rig: deterministic\ncount: 5\n", "every trial twice, and no more"},
		{"deterministic machine", good + "machine:\n  deterministic: true\n", "write 'rig: deterministic' instead"},
		{"too many samples", good + "count: 5000\n", "1 to 1000"},
		{"boot that runs", good + "boot: true\n", "a benchmark of boots runs nothing"},
		{"bad machine", good + "machine:\n  arch: [arm64]\nvariants: [series, machine:q35]\n", `no machine type "q35" on arm64`},
		{"machine of two architectures", good + "variants: [series, machine:q35]\n", "belongs to one architecture"},
		{"bad key", good + "compare: Policy\n", `"Policy" cannot be compared`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(file, []byte(tt.text))
			switch {
			case err == nil && tt.want != "":
				t.Errorf("no error, want %s", tt.want)
			case err != nil && (tt.want == "" || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v\nwant  %s", err, tt.want)
			}
		})
	}
}

// TestLoadAll reads the repository's own benchmarks.
func TestLoadAll(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	list, err := Load(root, filepath.Join(root, "qemu-tests"))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 5 {
		t.Errorf("only %d benchmarks", len(list))
	}
}

func TestMissingFiles(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "qemu-tests", "t", "bench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := good + "programs: [gone.c, ../../../../etc/passwd]\n"
	if err := os.WriteFile(filepath.Join(dir, "b.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(root, filepath.Join(root, "qemu-tests"))
	for _, want := range []string{"programs: there is no qemu-tests/t/bench/gone.c", "leads out of qemu-tests"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

func FuzzParseBenchmark(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(good + "variants: [plain, {name: off, is: 'sysctl:a.b=1 boot:x'}]\nmachine: {cpus: 2}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Parse("t/bench/b.yaml", data)
		if err == nil && (len(b.Variants) == 0 || len(b.metrics()) == 0) {
			t.Error("a benchmark without variants or metrics was taken")
		}
	})
}

func TestParseVariant(t *testing.T) {
	v, err := ParseVariant("  without:vmf,dmemfs   boot:quiet boot:nohz=off sysctl:kernel.x_y=1 option:CONFIG_A=y profile:microvm initramfs:16M ")
	if err != nil {
		t.Fatal(err)
	}
	want := Variant{
		Name:    "without:vmf,dmemfs boot:quiet boot:nohz=off sysctl:kernel.x_y=1 option:CONFIG_A=y profile:microvm initramfs:16M",
		Without: []string{"vmf", "dmemfs"}, Boot: []string{"quiet", "nohz=off"}, Sysctls: []string{"kernel.x_y=1"},
		Options: []string{"CONFIG_A=y"}, Profile: "microvm", Initramfs: 16,
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
	if got := v.setup(); got != "echo '1' >/proc/sys/kernel/x_y\n" {
		t.Errorf("setup: %q", got)
	}
	all := kernel.Request{Arch: arch.ARM64, Without: []string{"x"}, Options: []string{"CONFIG_B=y"}}
	got := v.request(all)
	if diff := cmp.Diff([]string{"x", "vmf", "dmemfs"}, got.Without); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"CONFIG_B=y", "CONFIG_A=y"}, got.Options); diff != "" || got.Profile != "microvm" {
		t.Error(diff, got.Profile)
	}
	if len(all.Without) != 1 || len(all.Options) != 1 {
		t.Error("the common request was changed")
	}
}

func TestParseVariantErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "an empty variant",
		"plane":               `"plane" is no variant: a term is one of boot:, initramfs:`,
		"plain:x":             "plain takes no value",
		"without":             "write without:VALUE",
		"boot:":               "the value after the colon is missing",
		"sysctl:a":            "write sysctl:NAME=VALUE",
		"initramfs:16":        "from 1M to 1024M",
		"initramfs:0M":        "from 1M to 1024M",
		"plain without:vmf":   "has no topic that could be left out",
		"sysctl:a=b'c":        "write sysctl:NAME=VALUE",
		"series somethingodd": `"somethingodd" is no variant`,
	} {
		if _, err := ParseVariant(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

func TestChoose(t *testing.T) {
	list := []*Benchmark{{Name: "a/x", Topic: "a"}, {Name: "a/y", Topic: "a", Tags: []cases.Word{"long"}}, {Name: "b/x", Topic: "b", Tags: []cases.Word{"quick"}}}
	for _, tt := range []struct {
		patterns string
		all      bool
		want     string
	}{
		{"", false, "a/x b/x"},
		{"", true, "a/x a/y b/x"},
		{"a", false, "a/x"},
		{"a/y", false, "a/y"},
		{"*/x", false, "a/x b/x"},
		{"+quick a/x", false, "a/x b/x"},
		{"+long", false, "a/y"},
	} {
		got, err := Choose(list, strings.Fields(tt.patterns), tt.all)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, b := range got {
			names = append(names, b.Name)
		}
		if s := strings.Join(names, " "); s != tt.want {
			t.Errorf("%q: %s, want %s", tt.patterns, s, tt.want)
		}
	}
	if _, err := Choose(list, []string{"c"}, false); err == nil || !strings.Contains(err.Error(), `"c"; there are a/x, a/y, b/x`) {
		t.Errorf("error %v", err)
	}
}

// TestBootParts takes a real boot's log apart.
func TestBootParts(t *testing.T) {
	log, err := os.ReadFile(filepath.Join("testdata", "initcalls.log"))
	if err != nil {
		t.Fatal(err)
	}
	const pid1 = 297755 * time.Microsecond
	parts := bootParts(string(log), pid1)
	sum := 0.0
	for _, p := range parts {
		sum += p.Value
		if p.Value < 0 {
			t.Errorf("%s: %v", p.Name, p.Value)
		}
	}
	// Lines in the log may overlap an initcall's time by what printing takes.
	if sum < 0.99*float64(pid1) || sum > 1.01*float64(pid1) {
		t.Errorf("the parts sum up to %v, not %v", time.Duration(sum), pid1)
	}
	if parts[2].Name != "initcall init_kprobe_trace" || parts[2].Value != 122.798e6 {
		t.Errorf("the largest initcall is %+v", parts[2])
	}
	if got := bootParts("no such lines", pid1); len(got) != 1 || got[0].Value != float64(pid1) {
		t.Errorf("a log without initcalls: %+v", got)
	}
}

func TestBootText(t *testing.T) {
	m := Marks{Start: 5 * time.Millisecond, PID1: 300 * time.Millisecond, Ready: 310 * time.Millisecond}
	for rig, want := range map[measure.Rig]string{
		measure.Deterministic: "BenchmarkBoot 1 300000000 pid1-ns 310000000 ready-ns\n",
		measure.Statistical:   "BenchmarkBoot 1 5000000 vmm-ns 295000000 pid1-ns 310000000 ready-ns\n",
	} {
		text := bootText(rig, m)
		if text != want {
			t.Errorf("%s: %q, want %q", rig, text, want)
		}
		results, _, err := measure.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		j := job{Benchmark: &Benchmark{Metrics: bootMetrics(rig)}}
		if err := measure.Check(results, j.metrics()); err != nil {
			t.Error(err)
		}
	}
}
