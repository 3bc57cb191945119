package hotbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
)

// Kernel is a built kernel: a directory that kbuild built in, and its source.
type Kernel struct {
	Build, Source string // absolute, symbolic links resolved
	Release       string // as uname -r will say
	Arch          *arch.Arch
	config        map[string]string
}

// OpenKernel opens the directory that a kernel was built in. Nothing is
// written there.
func OpenKernel(dir string) (*Kernel, error) {
	build, err := filepath.Abs(dir)
	if err == nil {
		build, err = filepath.EvalSymlinks(build)
	}
	if err != nil {
		return nil, fmt.Errorf("open the kernel's build directory: %w", err)
	}
	k := &Kernel{Build: build}
	for _, need := range []struct{ name, what string }{
		{".config", "its configuration"},
		{"vmlinux", "the linked kernel with its symbol table"},
		{"Module.symvers", "the list of exported symbols"},
	} {
		if !exists(filepath.Join(build, need.name)) {
			return nil, fmt.Errorf("%s is not a directory a kernel was built in: %s (%s) is missing; build the kernel there, or name another directory with --kernel", dir, need.name, need.what)
		}
	}
	if k.Source, err = findSource(build); err != nil {
		return nil, err
	}
	if err := k.readConfig(); err != nil {
		return nil, err
	}
	release, err := os.ReadFile(filepath.Join(build, "include/config/kernel.release"))
	if err != nil {
		return nil, fmt.Errorf("find the kernel's release: %w", err)
	}
	k.Release = strings.TrimSpace(string(release))
	return k, nil
}

// findSource returns the source directory that a build directory was made for.
func findSource(build string) (string, error) {
	isSource := func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "scripts/Kbuild.include"))
		return err == nil && exists(filepath.Join(dir, "Kbuild"))
	}
	if isSource(build) {
		return build, nil
	}
	if dir, err := filepath.EvalSymlinks(filepath.Join(build, "source")); err == nil && isSource(dir) {
		return dir, nil
	}
	// kbuild leaves a Makefile that includes the source's.
	if data, err := os.ReadFile(filepath.Join(build, "Makefile")); err == nil {
		if m := regexp.MustCompile(`(?m)^include (.+)/Makefile$`).FindSubmatch(data); m != nil {
			dir := string(m[1])
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(build, dir)
			}
			if dir, err = filepath.EvalSymlinks(dir); err == nil && isSource(dir) {
				return dir, nil
			}
		}
	}
	return "", fmt.Errorf("find the source that %s was built from: neither %s/source nor its Makefile leads to one", build, build)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func (k *Kernel) readConfig() error {
	data, err := os.ReadFile(filepath.Join(k.Build, ".config"))
	if err != nil {
		return err
	}
	k.config = map[string]string{}
	for line := range bytes.Lines(data) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if ok && strings.HasPrefix(key, "CONFIG_") {
			k.config[key[len("CONFIG_"):]] = strings.Trim(value, `"`)
		}
	}
	switch {
	case k.config["ARM64"] == "y":
		k.Arch = arch.ARM64
	case k.config["X86_64"] == "y":
		return errors.New("this is an x86_64 kernel, which is not supported yet: hotpatch makes modules for arm64")
	default:
		return errors.New("this kernel's architecture is not supported: hotpatch makes modules for arm64")
	}
	return nil
}

// Set reports whether a configuration option is y.
func (k *Kernel) Set(option string) bool { return k.config[option] == "y" }

// Check refuses kernels that hotpatches cannot be made for.
func (k *Kernel) Check() error {
	for _, c := range []struct {
		bad          bool
		what, remedy string
	}{
		{!k.Set("LIVEPATCH"), "it has no livepatch support (CONFIG_LIVEPATCH)", "enable it and build the kernel again"},
		{!k.Set("KALLSYMS_ALL"), "its symbol table lacks variables (CONFIG_KALLSYMS_ALL)", "enable it and build the kernel again"},
		{k.Set("LTO_CLANG") || k.Set("CC_IS_CLANG"), "it was compiled by clang", "use gcc: clang is not supported yet"},
		{k.Set("GCC_PLUGINS") && k.Set("RANDSTRUCT"), "its structures are laid out at random (CONFIG_RANDSTRUCT)", "disable that"},
		{k.Set("TRIM_UNUSED_KSYMS"), "unused exports are trimmed (CONFIG_TRIM_UNUSED_KSYMS), so that klp_enable_patch may be missing", "disable that"},
	} {
		if c.bad {
			return fmt.Errorf("%s: hotpatches cannot be made for this kernel: %s (%s)", k.Release, c.what, c.remedy)
		}
	}
	return nil
}

// CheckCompiler makes sure that cc, as words, is the compiler the kernel was
// built with.
func (k *Kernel) CheckCompiler(ctx context.Context, cc []string) (version string, err error) {
	cmd := proc.Command(ctx, cc[0], append(cc[1:len(cc):len(cc)], "--version")...)
	cmd.Dir = k.Build
	out, err := cmd.Output()
	if err != nil {
		return "", outcome.Errorf(outcome.Infra, "run %s, the compiler this kernel was built with: %w; install it", strings.Join(cc, " "), err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	if want := k.config["CC_VERSION_TEXT"]; line != want {
		return "", fmt.Errorf("the compiler here is %q, but the kernel was built with %q: other versions generate other code; install that one", line, want)
	}
	return line, nil
}

// rel returns a path below the source directory for a path as the build
// recorded it, or "" for one outside.
func (k *Kernel) rel(recorded string) string {
	p := recorded
	if !filepath.IsAbs(p) {
		p = filepath.Join(k.Build, p)
	}
	r, err := filepath.Rel(k.Source, filepath.Clean(p))
	if err != nil || r == ".." || strings.HasPrefix(r, "../") {
		return ""
	}
	return r
}
