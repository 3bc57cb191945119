package cli

import (
	"strconv"

	"github.com/spf13/pflag"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/cases"
)

// archValue is a flag that names an architecture.
type archValue struct{ a **arch.Arch }

func (v archValue) String() string {
	if v.a == nil || *v.a == nil {
		return ""
	}
	return (*v.a).Name
}

func (v archValue) Set(s string) error {
	a, err := arch.Parse(s)
	if err == nil {
		*v.a = a
	}
	return err
}

func (archValue) Type() string { return "arch" }

// addArchFlag adds --arch, with arm64 as the default.
func addArchFlag(f *pflag.FlagSet, a **arch.Arch) {
	*a = arch.ARM64
	f.Var(archValue{a}, "arch", "architecture of the kernel: arm64 or x86_64")
}

// memoryValue is a flag of so many MiB: 512M, 2G, or the number alone.
type memoryValue struct{ mib *int }

func (v memoryValue) String() string {
	if v.mib == nil || *v.mib == 0 {
		return ""
	}
	return strconv.Itoa(*v.mib) + "M"
}

func (v memoryValue) Set(s string) error {
	if _, err := strconv.Atoi(s); err == nil {
		s += "M"
	}
	size, err := cases.ParseSize(s)
	if err == nil {
		*v.mib = int(size)
	}
	return err
}

func (memoryValue) Type() string { return "size" }
