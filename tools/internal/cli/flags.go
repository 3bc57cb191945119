package cli

import (
	"github.com/spf13/pflag"

	"cloudkernel/tools/internal/arch"
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
