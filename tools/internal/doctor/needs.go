package doctor

import (
	"fmt"
	"slices"
	"strings"

	"cloudkernel/tools/internal/arch"
)

// Use is something a person wants of this machine.
type Use string

const (
	BuildARM64 Use = "build-arm64"
	BuildX86   Use = "build-x86_64"
	BootARM64  Use = "boot-arm64"
	BootX86    Use = "boot-x86_64"
	Packages   Use = "packages" // guests that hold Debian packages
	Develop    Use = "develop"  // writing kernel patches: checkers and debuggers
)

// uses gives each use its words, in the order they are shown.
var uses = []struct {
	use   Use
	title string
}{
	{BuildARM64, "build arm64 kernels"},
	{BuildX86, "build x86_64 kernels"},
	{BootARM64, "boot arm64 guests"},
	{BootX86, "boot x86_64 guests"},
	{Packages, "run cases whose guests hold Debian packages"},
	{Develop, "write kernel patches: checkers, debuggers"},
}

// Title says in words what the use is.
func (u Use) Title() string {
	for _, row := range uses {
		if row.use == u {
			return row.title
		}
	}
	return string(u)
}

// AllUses returns every use.
func AllUses() []Use {
	all := make([]Use, len(uses))
	for i, u := range uses {
		all[i] = u.use
	}
	return all
}

// DefaultUses returns what the project's own tests want: all but Develop.
func DefaultUses() []Use {
	return slices.DeleteFunc(AllUses(), func(u Use) bool { return u == Develop })
}

// ParseUses reads a list such as "build-arm64,packages". Beside the uses it
// takes "all", and the name of an architecture for all that its cases need.
func ParseUses(names []string) ([]Use, error) {
	var list []Use
	for _, name := range names {
		some := []Use{Use(name)}
		if name == "all" {
			some = AllUses()
		} else if slices.ContainsFunc(arch.All, func(a *arch.Arch) bool { return a.Name == name }) {
			some = []Use{Use("build-" + name), Use("boot-" + name), Packages}
		}
		for _, u := range some {
			if !slices.Contains(AllUses(), u) {
				return nil, fmt.Errorf("unknown use %q: it is all, arm64, x86_64, or some of %s", name, knownUses())
			}
			if !slices.Contains(list, u) {
				list = append(list, u)
			}
		}
	}
	return list, nil
}

func knownUses() string {
	var names []string
	for _, u := range uses {
		names = append(names, string(u.use))
	}
	return strings.Join(names, ", ")
}

// need is one thing of the machine that can be proved to be there.
type need struct {
	name     string
	probe    probe
	min      string   // least version; "" when any will do
	packages []string // Debian packages that bring it; none when apt has it not
	fix      string   // what to do when packages cannot
	uses     []Use
	optional bool // the uses work without it, only worse
	why      string
}

var (
	build    = []Use{BuildARM64, BuildX86}
	anything = []Use{BuildARM64, BuildX86, BootARM64, BootX86, Packages}
)

// needs returns the table for a host of the given GOARCH. Least versions of
// build tools are those of the kernel's Documentation/process/changes.rst.
func needs(hostGOARCH string) []need {
	table := []need{
		{name: "go", probe: program{args: "version"}, min: "1.26", uses: anything,
			fix: "install Go 1.26 or newer from https://go.dev/dl",
			why: "builds kernlab, hotpatch and the guest's agent"},
		{name: "git", probe: program{}, packages: []string{"git"}, uses: anything,
			why: "the series as a tree"},

		{name: "gcc", probe: program{}, min: "8.1", packages: []string{"gcc", "libc6-dev"}, uses: build,
			why: "kbuild's own programs, and kernels of this machine's architecture"},
		{name: "make", probe: program{}, min: "4.0", packages: []string{"make"}, uses: build, why: "kbuild"},
		{name: "flex", probe: program{}, min: "2.5.35", packages: []string{"flex"}, uses: build, why: "Kconfig, dtc"},
		{name: "bison", probe: program{}, min: "2.0", packages: []string{"bison"}, uses: build, why: "Kconfig, dtc"},
		{name: "bc", probe: program{}, min: "1.06", packages: []string{"bc"}, uses: build, why: "timeconst.h"},
		// perl-base alone is always there, and has not what checkpatch.pl uses.
		{name: "perl", probe: program{args: "-MTerm::ANSIColor -v"}, packages: []string{"perl"}, uses: build,
			why: "kbuild's generators, checkpatch.pl"},
		{name: "xz", probe: program{}, packages: []string{"xz-utils"}, uses: build, why: "unpacks the kernel's source"},
		{name: "lz4", probe: program{}, packages: []string{"lz4"}, uses: build, why: "packs x86_64's kernel image"},
		{name: "cpio", probe: program{}, packages: []string{"cpio"}, uses: build, why: "initramfs and kernel headers in kbuild"},
		{name: "rsync", probe: program{}, packages: []string{"rsync"}, uses: build,
			why: "headers_install, which the kernel's selftests build against"},
		{name: "kmod", probe: program{version: `version (\d+)`}, min: "13", packages: []string{"kmod"}, uses: build, why: "depmod"},
		{name: "gelf.h", probe: header{}, packages: []string{"libelf-dev"}, uses: build,
			why: "objtool, resolve_btfids"},
		{name: "openssl/evp.h", probe: header{}, packages: []string{"libssl-dev"}, uses: build,
			why: "kbuild's signing tools"},
		{name: "dpkg-deb", probe: program{}, packages: []string{"dpkg"}, uses: anything,
			why: "takes apart Debian's packages: the kernel's source, what guests hold"},
		{name: "apt-get", probe: program{}, uses: anything,
			fix: "this is no Debian: run the laboratory in a Debian container; kernels can be built from --base PATH all the same",
			why: "fetches Debian's packages, of guests' architectures too"},
		{name: "ccache", probe: program{}, packages: []string{"ccache"}, uses: build, optional: true,
			why: "a rebuild takes two minutes instead of thirteen"},

		{name: "qemu-system-aarch64", probe: program{}, min: "7.2", packages: []string{"qemu-system-arm", "ipxe-qemu"},
			uses: []Use{BootARM64}, why: "runs arm64 guests"},
		{name: "qemu-system-x86_64", probe: program{}, min: "7.2", packages: []string{"qemu-system-x86"},
			uses: []Use{BootX86}, why: "runs x86_64 guests"},
		{name: "mke2fs", probe: program{args: "-V"}, min: "1.43", packages: []string{"e2fsprogs"}, uses: []Use{Packages},
			why: "makes guest disks; -d fills them without root"},

		{name: "sparse", probe: program{}, packages: []string{"sparse"}, uses: []Use{Develop}, optional: true,
			why: "make C=1: address spaces, lock balance"},
		{name: "pahole", probe: program{}, min: "1.16", packages: []string{"dwarves"}, uses: []Use{Develop}, optional: true,
			why: "how structures lie in memory"},
		{name: "gdb-multiarch", probe: program{}, packages: []string{"gdb-multiarch"}, uses: []Use{Develop}, optional: true,
			why: "kernlab boot --gdb"},
	}
	for _, a := range arch.All {
		cross := a.Cross(hostGOARCH)
		if cross == "" {
			continue
		}
		use := Use("build-" + a.Name)
		table = append(table,
			need{name: cross + "gcc", probe: program{}, min: "8.1", uses: []Use{use},
				packages: []string{"gcc-" + strings.ReplaceAll(a.Triplet, "_", "-")},
				why:      a.Name + " kernels"},
			need{name: "libc of " + a.Triplet, probe: staticLibc{compiler: cross + "gcc"}, uses: []Use{use},
				packages: []string{"libc6-dev-" + a.Debian + "-cross"},
				why:      "the kernel's selftests, linked statically"})
	}
	return table
}
