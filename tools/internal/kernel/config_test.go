package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudkernel/tools/internal/arch"
)

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestParseFragment(t *testing.T) {
	got, err := parseFragment("f", []byte("# why\nCONFIG_A=y\n\nCONFIG_S=\"a b\"\n# CONFIG_N is not set\nCONFIG_X=0x10\n"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got {
		lines = append(lines, s.String())
	}
	want := "CONFIG_A=y|CONFIG_S=\"a b\"|# CONFIG_N is not set|CONFIG_X=0x10"
	if s := strings.Join(lines, "|"); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

func TestParseFragmentNamesThePlace(t *testing.T) {
	_, err := parseFragment("common.config", []byte("CONFIG_A=y\nCONFG_B=y\nCONFIG_C=maybe\n"))
	for _, want := range []string{`common.config:2: not a configuration line: "CONFG_B=y"`, "common.config:3: CONFIG_C: maybe is no value"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

func TestFragmentsMergeInOrder(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{
		"common.config":    "CONFIG_NR_CPUS=64\nCONFIG_A=y\n",
		"arm64.config":     "CONFIG_ARM=y\n",
		"x86_64.config":    "CONFIG_X86=y\n",
		"vmf.config":       "CONFIG_VMF=y\n",
		"vmf.arm64.config": "CONFIG_VMF_ARM=y\n",
		"debug.config":     "CONFIG_NR_CPUS=16\n",

		"tiny.config":       aloneMark + "\nCONFIG_TINY=y\n",
		"tiny.arm64.config": "CONFIG_TINY_ARM=y\n",
		"vm.config":         aloneMark + " with vmf\nCONFIG_VM=y\n",
		"lean.config":       insteadMark + "\nCONFIG_LEAN=y\n",
		"lean.arm64.config": "CONFIG_LEAN_ARM=y\n",
	})
	for _, tt := range []struct {
		name   string
		req    Request
		topics []string
		want   string
	}{
		{"default", Request{Arch: arch.ARM64}, []string{"vmf"}, "CONFIG_NR_CPUS=64\nCONFIG_A=y\nCONFIG_ARM=y\nCONFIG_VMF=y\nCONFIG_VMF_ARM=y\n"},
		{"other arch", Request{Arch: arch.X86_64}, []string{"vmf"}, "CONFIG_NR_CPUS=64\nCONFIG_A=y\nCONFIG_X86=y\nCONFIG_VMF=y\n"},
		{"a profile overrides", Request{Arch: arch.ARM64, Profile: "debug"}, nil, "CONFIG_A=y\nCONFIG_ARM=y\nCONFIG_NR_CPUS=16\n"},
		{"a profile that stands alone", Request{Arch: arch.ARM64, Profile: "tiny"}, []string{"vmf"}, "CONFIG_TINY=y\nCONFIG_TINY_ARM=y\n"},
		{"a profile alone with a topic", Request{Arch: arch.ARM64, Profile: "vm"}, []string{"dmemfs", "vmf"}, "CONFIG_VM=y\nCONFIG_VMF=y\nCONFIG_VMF_ARM=y\n"},
		{"its topic left out", Request{Arch: arch.ARM64, Profile: "vm"}, []string{"dmemfs"}, "CONFIG_VM=y\n"},
		{"a profile instead of common", Request{Arch: arch.ARM64, Profile: "lean"}, []string{"vmf"}, "CONFIG_LEAN=y\nCONFIG_LEAN_ARM=y\nCONFIG_VMF=y\nCONFIG_VMF_ARM=y\n"},
		{"an option overrides all", Request{Arch: arch.ARM64, Options: []string{"CONFIG_A=n"}}, nil, "CONFIG_NR_CPUS=64\nCONFIG_ARM=y\n# CONFIG_A is not set\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := fragments(dir, tt.req.normal(), tt.topics, "")
			if err != nil {
				t.Fatal(err)
			}
			if s := string(render(got)); s != tt.want {
				t.Errorf("got\n%swant\n%s", s, tt.want)
			}
		})
	}
	if HasTopics(dir, "tiny") || HasTopics(dir, "vm") || !HasTopics(dir, "lean") || !HasTopics(dir, "debug") || !HasTopics(dir, DefaultProfile) {
		t.Error("of the profiles only tiny and vm lack topics")
	}
	_, err := fragments(dir, Request{Arch: arch.ARM64, Profile: "dbug"}, []string{"vmf"}, "")
	if err == nil || !strings.Contains(err.Error(), `unknown profile "dbug"`) || !strings.Contains(err.Error(), "default, debug") {
		t.Errorf("an unknown profile: %v", err)
	}
	_, err = fragments(dir, Request{Arch: arch.ARM64, Options: []string{"KSM=y"}}.normal(), nil, "")
	if err == nil || !strings.Contains(err.Error(), "CONFIG_NAME=y") {
		t.Errorf("a malformed option: %v", err)
	}
}

func TestCheckConfigNamesWhatWasLost(t *testing.T) {
	src := write(t, t.TempDir(), map[string]string{
		"Kconfig":         "source \"init/Kconfig\"\n",
		"init/Kconfig":    "config OTHER\n\tbool \"other\"\n\nconfig LOST\n\tbool \"lost\" if EXPERT\n\tdepends on NET && !TINY\n\thelp\n\t  depends on luck\n\nconfig KEPT\n\tdef_bool y\n",
		"include/Kconfig": "config BOOL\n\tbool\n",
	})
	asked, err := parseFragment("arm64.config", []byte("CONFIG_KEPT=y\nCONFIG_LOST=y\nCONFIG_LOTS=y\n# CONFIG_BOOL is not set\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkConfig(src, asked[:1], []byte("CONFIG_KEPT=y\n")); err != nil {
		t.Errorf("nothing was lost, yet: %v", err)
	}
	half := asked[2]
	half.optional = true
	if err := checkConfig(src, []setting{half}, nil); err != nil {
		t.Errorf("an option of a topic cut short may be missing: %v", err)
	}
	err = checkConfig(src, asked, []byte("CONFIG_KEPT=y\n# CONFIG_LOST is not set\nCONFIG_BOOL=y\n"))
	want := []string{
		"arm64.config:2: CONFIG_LOST=y did not survive: it became n (defined at init/Kconfig:4, bool \"lost\" if EXPERT; depends on NET && !TINY)",
		"arm64.config:3: unknown option CONFIG_LOTS: no Kconfig file of this source defines it",
		"arm64.config:4: CONFIG_BOOL=n did not survive: it became y (defined at include/Kconfig:1)",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
}
