// Package arch holds what the laboratory must know of an architecture by name:
// one value each, so that nothing else asks "if arm64".
package arch

import (
	"fmt"
	"strings"
)

// Arch is an architecture that kernels are built for. Its values are ARM64 and
// X86_64; the zero value is none.
type Arch struct {
	Name        string // as in --arch and uname -m's kernel name: arm64, x86_64
	Kbuild      string // ARCH= of kbuild
	SrcArch     string // directory under arch/ in the kernel source
	GOARCH      string
	Debian      string // architecture of Debian packages
	Triplet     string // GNU triplet, which prefixes the cross tools
	QEMU        string // suffix of the system emulator: qemu-system-<QEMU>
	ImageTarget string // kbuild target of the bootable image
	ImagePath   string // where kbuild leaves it, below the build directory
	Console     string // console= of the serial port
}

// The architectures. Pointers to them compare equal when they mean the same.
var (
	ARM64 = &Arch{
		Name: "arm64", Kbuild: "arm64", SrcArch: "arm64", GOARCH: "arm64", Debian: "arm64",
		Triplet: "aarch64-linux-gnu", QEMU: "aarch64",
		ImageTarget: "Image", ImagePath: "arch/arm64/boot/Image", Console: "ttyAMA0",
	}
	X86_64 = &Arch{
		Name: "x86_64", Kbuild: "x86_64", SrcArch: "x86", GOARCH: "amd64", Debian: "amd64",
		Triplet: "x86_64-linux-gnu", QEMU: "x86_64",
		ImageTarget: "bzImage", ImagePath: "arch/x86/boot/bzImage", Console: "ttyS0",
	}
)

// All lists the architectures, the default one first.
var All = []*Arch{ARM64, X86_64}

// Parse returns the architecture of a name, taking the field's other names for
// it too (aarch64, amd64, x86-64).
func Parse(name string) (*Arch, error) {
	switch strings.ToLower(name) {
	case "arm64", "aarch64":
		return ARM64, nil
	case "x86_64", "x86-64", "amd64", "x86":
		return X86_64, nil
	}
	return nil, fmt.Errorf("unknown architecture %q: it is arm64 or x86_64", name)
}

// String returns the name.
func (a *Arch) String() string {
	if a == nil {
		return "none"
	}
	return a.Name
}

// Cross returns the prefix of the cross tools ("aarch64-linux-gnu-"), or ""
// when the machine we run on, named by GOARCH, builds for a natively.
func (a *Arch) Cross(hostGOARCH string) string {
	if a.GOARCH == hostGOARCH {
		return ""
	}
	return a.Triplet + "-"
}
