package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
)

// toolchain is what compiles: the prefix of its tools, and what they say they are.
type toolchain struct {
	cross    string   // "aarch64-linux-gnu-" or ""
	llvm     string   // kbuild's LLVM, "1" or "-16", or "" for GCC and binutils
	versions []string // first line of --version: compiler, linker
	ccache   bool
}

// clangSymbol, asked for as an option or in a profile, selects the compiler.
// Kconfig sets it, so a kernel that was built otherwise would be refused.
const clangSymbol = "CC_IS_CLANG"

func wantsClang(settings []setting) bool {
	return slices.ContainsFunc(wanted(settings), func(s setting) bool { return s.symbol == clangSymbol && s.value == "y" })
}

// findToolchain asks the compiler and the linker for their versions. They are
// part of a kernel's key: another compiler makes another kernel.
func findToolchain(ctx context.Context, a *arch.Arch, clang bool) (*toolchain, error) {
	tc := &toolchain{cross: a.Cross(runtime.GOARCH)}
	tools := []string{tc.cross + "gcc", tc.cross + "ld"}
	if clang {
		var err error
		if tc.llvm, err = findLLVM(exec.LookPath); err != nil {
			return nil, err
		}
		tools = []string{"clang" + tc.suffix(), "ld.lld" + tc.suffix()}
	}
	for _, tool := range tools {
		line, err := versionLine(ctx, tool)
		if err != nil {
			return nil, err
		}
		tc.versions = append(tc.versions, line)
	}
	_, err := exec.LookPath("ccache")
	tc.ccache = err == nil
	return tc, nil
}

// Versions of LLVM that are looked for, if there is none without a number in its
// name: from the newest on, down to the oldest that Linux 6.12 takes.
const newestLLVM, oldestLLVM = 30, 13

// findLLVM returns what kbuild's LLVM is set to, for the tools on the PATH.
func findLLVM(look func(string) (string, error)) (string, error) {
	has := func(suffix string) bool {
		for _, tool := range []string{"clang", "ld.lld", "llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-strip"} {
			if _, err := look(tool + suffix); err != nil {
				return false
			}
		}
		return true
	}
	if has("") {
		return "1", nil
	}
	for v := newestLLVM; v >= oldestLLVM; v-- {
		if suffix := fmt.Sprintf("-%d", v); has(suffix) {
			return suffix, nil
		}
	}
	return "", outcome.Errorf(outcome.Infra, "CONFIG_%s=y asks for clang, and there is no clang with ld.lld and LLVM's binutils, with or without a version in their names; apt-get install clang-16 lld-16 llvm-16", clangSymbol)
}

// suffix returns what the names of LLVM's tools end in.
func (tc *toolchain) suffix() string {
	if tc.llvm == "1" {
		return ""
	}
	return tc.llvm
}

func versionLine(ctx context.Context, tool string) (string, error) {
	var stderr bytes.Buffer
	cmd := proc.Command(ctx, tool, "--version")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", outcome.Errorf(outcome.Infra, "%s is not installed; 'kernlab doctor --install' installs what a build needs", tool)
	}
	if err != nil {
		return "", outcome.Errorf(outcome.Infra, "%s --version: %w: %s", tool, err, strings.TrimSpace(stderr.String()))
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line), nil
}

// cc returns the value of kbuild's CC.
func (tc *toolchain) cc() string {
	cc := tc.cross + "gcc"
	if tc.llvm != "" {
		cc = "clang" + tc.suffix()
	}
	if tc.ccache {
		return "ccache " + cc
	}
	return cc
}

// vars returns make's variables, besides CC, that choose tools.
func (tc *toolchain) vars() []string {
	var vars []string
	if tc.cross != "" {
		vars = append(vars, "CROSS_COMPILE="+tc.cross)
	}
	if tc.llvm != "" {
		vars = append(vars, "LLVM="+tc.llvm)
	}
	return vars
}

// hostcc returns the value of kbuild's HOSTCC.
func (tc *toolchain) hostcc() string {
	if tc.ccache {
		return "ccache gcc"
	}
	return "gcc"
}

// makeEnv is our environment without what would change a kernel behind our
// back: kbuild's own variables, and those by which a make that started us would
// hand down its flags and job slots.
func makeEnv() []string {
	drop := []string{"ARCH", "CROSS_COMPILE", "CC", "LD", "LLVM", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS",
		"MAKEOVERRIDES", "KCFLAGS", "KAFLAGS", "KCPPFLAGS", "LOCALVERSION", "INSTALL_MOD_PATH", "O", "V", "W", "C",
		"CFLAGS", "LDFLAGS", "LC_ALL", "LANG", "LANGUAGE", "SOURCE_DATE_EPOCH", "CCACHE_NOHASHDIR"}
	dropped := map[string]bool{}
	for _, d := range drop {
		dropped[d] = true
	}
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !dropped[name] && !strings.HasPrefix(name, "KBUILD_") && !strings.HasPrefix(name, "LC_") {
			env = append(env, kv)
		}
	}
	env = append(env,
		// A fixed locale; ccache tells objects apart by it.
		"LANG=C.UTF-8",
		// The same input gives the same kernel, whoever builds it and when.
		"KBUILD_BUILD_TIMESTAMP=2026-01-01", "KBUILD_BUILD_USER=cloudkernel", "KBUILD_BUILD_HOST=cloudkernel", "KBUILD_BUILD_VERSION=1")
	if os.Getenv("CCACHE_MAXSIZE") == "" {
		env = append(env, "CCACHE_MAXSIZE=20G")
	}
	return env
}

// String returns the versions on one line.
func (tc *toolchain) String() string { return fmt.Sprintf("%s; %s", tc.versions[0], tc.versions[1]) }
