package cases

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/arch"
)

const good = "summary: s\nsteps:\n  - run: \"true\"\n"

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"good", good, ""},
		{"no summary", "steps:\n  - run: \"true\"\n", "qemu-tests/t/c.yaml: no summary"},
		{"nothing runs", "summary: s\n", "qemu-tests/t/c.yaml: nothing runs"},
		{"typo in a key", good + "timout: 3s\n", `qemu-tests/t/c.yaml:4:1: unknown key "timout" (did you mean "timeout"?)`},
		{"typo in a step", "summary: s\nsteps:\n  - rum: x\n", `qemu-tests/t/c.yaml:3:5: unknown key "rum" (did you mean "run"?)`},
		{"a time without unit", good + "timeout: 30\n", `qemu-tests/t/c.yaml:4:10: "30" is no time: write 90s, 2m or 1h`},
		{"bad size", good + "machine:\n  memory: 512\n", `"512" is no size`},
		{"too little memory", good + "machine:\n  memory: 32M\n", `qemu-tests/t/c.yaml:5:11: 32 MiB`},
		{"bad arch", good + "machine:\n  arch: [arm65]\n", `unknown architecture "arm65"`},
		{"type without arch", good + "machine:\n  type: q35\n", "qemu-tests/t/c.yaml:5:9: a machine type belongs to one architecture"},
		{"wrong type", good + "machine:\n  arch: [arm64]\n  type: q35\n", `no machine type "q35" on arm64 (it is one of virt)`},
		{"model that is none", good + "machine:\n  arch: [arm64]\n  cpu-model: cortex-a53,midr\n", `"cortex-a53,midr" is no CPU: cortex-a53, or cortex-a53,midr=0x410fd033`},
		{"model without arch", good + "machine:\n  cpu-model: cortex-a53\n", "qemu-tests/t/c.yaml:5:14: a CPU model belongs to one architecture"},
		{"bad option", good + "kernel:\n  needs: [KVM]\n", `"KVM" is no configuration option`},
		{"bad outcome", good + "expect:\n  outcome: passed\n", `"passed" is no outcome`},
		{"bad kind", good + "expect:\n  splats:\n    - kind: opps\n", `"opps" is no kind of splat`},
		{"bad expression", good + "expect:\n  outcome: fail\n  reason: '('\n", "error parsing regexp"},
		{"reason of a pass", good + "expect:\n  reason: x\n", "qemu-tests/t/c.yaml:5:11: a pass has no reason"},
		{"after a pass", good + "expect:\n  after: 1m\n", "qemu-tests/t/c.yaml:5:10: a guest whose kernel is gone is no pass"},
		{"too many nodes", good + "machine:\n  nodes: 9\n", "qemu-tests/t/c.yaml:5:10: 9 NUMA nodes"},
		{"shared panic", good + "shared: true\nexpect:\n  outcome: panic\n", "qemu-tests/t/c.yaml:4:9: a guest that is expected to end as panic cannot be shared"},
		{"match of nothing", "summary: s\nsteps:\n  - run: x\n    stdout: {}\n", "stdout asks for nothing"},
		{"nameless step", "summary: s\nsteps:\n  - run: x\n  - run: y\n", "one of several steps has no name"},
		{"same names", "summary: s\nsteps:\n  - {name: a, run: x}\n  - {name: a, run: y}\n", `qemu-tests/t/c.yaml:4:12: two steps are called "a"`},
		{"bad selftest", "summary: s\nselftests: [\"../x\"]\n", "names no selftest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("qemu-tests/t/c.yaml", []byte(tt.text))
			switch {
			case err == nil && tt.want != "":
				t.Errorf("no error, want %s", tt.want)
			case err != nil && (tt.want == "" || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v\nwant  %s", err, tt.want)
			}
		})
	}
}

// TestLoadAll reads the repository's own cases: a case that does not load
// would only be noticed when a guest is about to boot.
func TestLoadAll(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	list, err := Load(root, filepath.Join(root, "qemu-tests"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Feature == "" {
			t.Errorf("%s: no feature: the README's table would not show it", c.Path)
		}
	}
}

func TestLoadMissingFile(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "qemu-tests", "t")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := good + "files: [there.sh, gone.sh]\nprograms: [../up.c]\n"
	for name, data := range map[string]string{"c.yaml": text, "there.sh": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(root, filepath.Dir(dir))
	want := "qemu-tests/t/c.yaml: files: there is no qemu-tests/t/gone.sh\n" +
		`qemu-tests/t/c.yaml: programs: "../up.c" leads out of the case's directory`
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

func TestMatch(t *testing.T) {
	const out = "one\ntwo 22\nthree\n"
	tests := []struct{ match, want string }{
		{"{equals: \"one\\ntwo 22\\nthree\"}", ""},
		{"{equals: one}", `is "one\ntwo 22\nthree", not "one"`},
		{"{contains: two}", ""},
		{"{contains: [two, four]}", `lacks "four": it is "one\ntwo 22\nthree"`},
		{"{lacks: four}", ""},
		{"{lacks: wo}", `has "wo": "two 22"`},
		{"{matches: '^two \\d+$'}", ""},
		{"{matches: ['^two$']}", `has no match of ^two$: it is "one\ntwo 22\nthree"`},
	}
	for _, tt := range tests {
		c, err := Parse("t/c.yaml", []byte("summary: s\nsteps:\n  - run: x\n    stdout: "+tt.match+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Steps[0].Stdout.Check(out); got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.match, got, tt.want)
		}
	}
}

func TestChoose(t *testing.T) {
	var all []*Case
	for _, name := range []string{"lab/panic", "lab/warn", "smoke/boot", "smoke/config", "vmf/fair", "vmf/soak"} {
		topic, _, _ := strings.Cut(name, "/")
		c := &Case{Name: name, Topic: topic}
		switch {
		case strings.HasSuffix(name, "soak"):
			c.Tags = []Word{"long"}
		case strings.HasSuffix(name, "boot") || topic == "vmf":
			c.Tags = []Word{"quick"}
		}
		all = append(all, c)
	}
	tests := []struct {
		patterns, want string
	}{
		{"", "lab/panic lab/warn smoke/boot smoke/config vmf/fair"},
		{"vmf", "vmf/fair"},
		{"vmf/*", "vmf/fair"},
		{"vmf/soak", "vmf/soak"},
		{"+long smoke/boot", "smoke/boot vmf/soak"},
		{"smoke", "smoke/boot smoke/config"},
		{"smoke/", "smoke/boot smoke/config"},
		{"vmf smoke/boot", "smoke/boot vmf/fair"},
		{"*/warn v*", "lab/warn vmf/fair"},
		{"+quick", "smoke/boot vmf/fair"},
		{"smok", `no case, topic or tag matches "smok"; there are +long, +quick, lab/panic, lab/warn, smoke/boot, smoke/config, vmf/fair, vmf/soak`},
		{"[", `pattern "[": syntax error in pattern`},
	}
	for _, tt := range tests {
		list, err := Choose(all, strings.Fields(tt.patterns), false)
		var got []string
		for _, c := range list {
			got = append(got, c.Name)
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if diff := cmp.Diff(tt.want, text); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.patterns, diff)
		}
	}
}

func TestChooseLong(t *testing.T) {
	all := []*Case{{Name: "a/b", Topic: "a"}, {Name: "a/c", Topic: "a", Tags: []Word{"long"}}}
	for _, patterns := range [][]string{nil, {"a"}} {
		if list, err := Choose(all, patterns, true); err != nil || len(list) != 2 {
			t.Errorf("with long, %q chose %d cases, %v", patterns, len(list), err)
		}
	}
}

// TestShards deals out lists of every length: each item is in one shard, and
// shards differ by one item at most.
func TestShards(t *testing.T) {
	for n := range 20 {
		for count := 1; count <= 5; count++ {
			sizes := make([]int, count)
			for i := range n {
				in := 0
				for k := 1; k <= count; k++ {
					if (Shard{k, count}).Has(i) {
						in++
						sizes[k-1]++
					}
				}
				if in != 1 {
					t.Errorf("item %d of %d is in %d of %d shards", i, n, in, count)
				}
			}
			for _, s := range sizes {
				if s < n/count || s > n/count+1 {
					t.Errorf("%d items in %d shards: %v", n, count, sizes)
				}
			}
		}
	}
	for _, bad := range []string{"0/2", "3/2", "a/b", "1", "1/0", "-1/2"} {
		if _, err := ParseShard(bad); err == nil {
			t.Errorf("ParseShard(%q) succeeded", bad)
		}
	}
}

func TestOptionHolds(t *testing.T) {
	const config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_N=64\nCONFIG_AB=m\n"
	for opt, want := range map[Option]bool{
		"CONFIG_A=y": true, "CONFIG_A=n": false, "CONFIG_B=n": true, "CONFIG_B=y": false,
		"CONFIG_C=n": true, "CONFIG_N=64": true, "CONFIG_N=6": false, "CONFIG_AB=m": true,
	} {
		if got := opt.Holds(config); got != want {
			t.Errorf("%s: %v", opt, got)
		}
	}
}

func TestOn(t *testing.T) {
	c, err := Parse("t/c.yaml", []byte(good+"machine:\n  arch: [aarch64]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !c.On(arch.ARM64) || c.On(arch.X86_64) {
		t.Error("a case for arm64 does not run on arm64 alone")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("summary: s\nselftests: [a:b]\nkunit: [x*]\nmachine: {arch: [arm64], memory: 1G}\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Parse("t/c.yaml", []byte(s))
		if err == nil && (c.Summary == "" || len(c.Steps)+len(c.Selftests)+len(c.KUnit) == 0) {
			t.Errorf("accepted %q", s)
		}
	})
}
