package kernel

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestFindLLVM(t *testing.T) {
	tools := []string{"clang", "ld.lld", "llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-strip"}
	of := func(suffix string) []string {
		var names []string
		for _, tool := range tools {
			names = append(names, tool+suffix)
		}
		return names
	}
	for _, tt := range []struct {
		name string
		has  []string
		want string
	}{
		{"without a version", slices.Concat(of("-16"), of("")), "1"},
		{"the newest", slices.Concat(of("-14"), of("-16")), "-16"},
		{"one that is whole", slices.Concat(of("-14"), []string{"clang-16"}), "-14"},
		{"too old", of("-11"), ""},
		{"none", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := findLLVM(func(tool string) (string, error) {
				if slices.Contains(tt.has, tool) {
					return "/bin/" + tool, nil
				}
				return "", exec.ErrNotFound
			})
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q and %v, want %q", got, err, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), "CONFIG_CC_IS_CLANG=y asks for clang") {
				t.Errorf("the error does not say why clang is wanted: %v", err)
			}
		})
	}
}

func TestToolchainVariables(t *testing.T) {
	for _, tt := range []struct {
		tc       toolchain
		cc, vars string
	}{
		{toolchain{}, "gcc", ""},
		{toolchain{cross: "aarch64-linux-gnu-", ccache: true}, "ccache aarch64-linux-gnu-gcc", "CROSS_COMPILE=aarch64-linux-gnu-"},
		{toolchain{cross: "aarch64-linux-gnu-", llvm: "-16"}, "clang-16", "CROSS_COMPILE=aarch64-linux-gnu- LLVM=-16"},
		{toolchain{llvm: "1", ccache: true}, "ccache clang", "LLVM=1"},
	} {
		if cc, vars := tt.tc.cc(), strings.Join(tt.tc.vars(), " "); cc != tt.cc || vars != tt.vars {
			t.Errorf("%+v: got %q, %q", tt.tc, cc, vars)
		}
	}
}

func TestTheLastSettingOfTheCompilerCounts(t *testing.T) {
	on, off := setting{symbol: clangSymbol, value: "y"}, setting{symbol: clangSymbol, value: "n"}
	if wantsClang(nil) || !wantsClang([]setting{off, on}) || wantsClang([]setting{on, off}) {
		t.Error("clang is not chosen by the last of the settings")
	}
}
