package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
)

// toolchain is what compiles: the prefix of its tools, and what they say they are.
type toolchain struct {
	cross    string   // "aarch64-linux-gnu-" or ""
	versions []string // first line of --version: compiler, linker
	ccache   bool
}

// findToolchain asks the compiler and the linker for their versions. They are
// part of a kernel's key: another compiler makes another kernel.
func findToolchain(ctx context.Context, a *arch.Arch) (*toolchain, error) {
	tc := &toolchain{cross: a.Cross(runtime.GOARCH)}
	for _, tool := range []string{"gcc", "ld"} {
		line, err := versionLine(ctx, tc.cross+tool)
		if err != nil {
			return nil, err
		}
		tc.versions = append(tc.versions, line)
	}
	_, err := exec.LookPath("ccache")
	tc.ccache = err == nil
	return tc, nil
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
	if tc.ccache {
		return "ccache " + tc.cross + "gcc"
	}
	return tc.cross + "gcc"
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
