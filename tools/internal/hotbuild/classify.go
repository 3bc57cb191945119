package hotbuild

import (
	"path"
	"strings"

	"cloudkernel/kpatch-arm64/diff"
)

// class says what a target of the build is to a hotpatch.
type class int

const (
	classObject class = iota // C code of the running kernel
	classFrozen              // part of the system that cannot be changed while it runs
	classText                // a generated text (offsets for assembly, linker scripts)
	classIgnore              // nothing of the running kernel
)

// frozen lists what cannot be changed in a running kernel although it is built
// with it. If a patch changes what comes out, it is refused.
var frozen = []struct {
	match      func(target string) bool
	rule, what string
	remedy     string
}{
	{in("arch/arm64/kvm/hyp/nvhe/"), "nvhe", "it runs at EL2, outside the kernel's reach (nVHE hypervisor)", rebootRemedy},
	{in("arch/arm64/kernel/pi/"), "pi", "it runs before the kernel is mapped (position-independent early code), and never again", rebootRemedy},
	{in("arch/arm64/kernel/vdso/", "arch/arm64/kernel/vdso32/", "arch/x86/entry/vdso/"), "vdso", "it is part of the vDSO, which runs in user space and is mapped into every process", rebootRemedy},
	{in("drivers/firmware/efi/libstub/"), "efi-stub", "it is part of the EFI stub, which ran before the kernel", rebootRemedy},
	{in("arch/arm64/boot/", "arch/x86/boot/"), "boot", "it ran before the kernel", rebootRemedy},
}

const rebootRemedy = "reboot into a kernel that has the change, or leave that file out of the patch"

func in(dirs ...string) func(string) bool {
	return func(target string) bool {
		for _, d := range dirs {
			if strings.HasPrefix(target, d) {
				return true
			}
		}
		return false
	}
}

// classify says what a target is. Host programs, and objects that are only
// copies of others (objcopy), are of no interest.
func classify(c *cmdFile) (class, diff.Refusal) {
	for _, f := range frozen {
		if f.match(c.target) {
			return classFrozen, diff.Refusal{Rule: f.rule, Name: c.target, What: f.what, Remedy: f.remedy}
		}
	}
	if in("scripts/", "tools/")(c.target) {
		return classIgnore, diff.Refusal{}
	}
	switch path.Ext(c.target) {
	case ".o":
		switch {
		case strings.HasSuffix(c.source, ".c"):
			return classObject, diff.Refusal{}
		case strings.HasSuffix(c.source, ".S"):
			return classFrozen, diff.Refusal{Rule: "assembly", Name: c.target, What: "it is written in assembly, whose functions have no patch sites",
				Remedy: "change C code around it, or reboot into a kernel that has the change"}
		}
	case ".s":
		return classText, diff.Refusal{Rule: "layout", Name: c.target, What: "structure offsets that assembly code is built with change",
			Remedy: "do not change that structure: keep new state in a shadow variable (HOTPATCH_SHADOW)"}
	case ".lds", ".dtb":
		return classText, diff.Refusal{Rule: "boot", Name: c.target, What: "it was used when the kernel was linked or booted", Remedy: rebootRemedy}
	}
	return classIgnore, diff.Refusal{}
}

// kindOfFile says why a file of a patch is of no use in a hotpatch, or "" if it
// may be part of the kernel.
func kindOfFile(name string) (ignored string, refusal *diff.Refusal) {
	base := path.Base(name)
	switch {
	case in("Documentation/", "tools/", "samples/", "LICENSES/")(name), base == "MAINTAINERS", base == "CREDITS", base == ".gitignore":
		return "it is not part of the kernel image", nil
	case base == "Makefile", base == "Kbuild", strings.HasPrefix(base, "Kconfig"), strings.HasPrefix(base, "Makefile."):
		return "", &diff.Refusal{Rule: "kbuild", Name: name, What: "it says how the kernel is built, which a hotpatch cannot change",
			Remedy: "leave it out of the patch, and put new code into existing files"}
	}
	return "", nil
}
