package hotbuild

import (
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		target, source string
		class          class
		rule, remedy   string
	}{
		{"fs/pipe.o", "../fs/pipe.c", classObject, "", ""},
		{"arch/arm64/kvm/hyp/nvhe/switch.nvhe.o", "../arch/arm64/kvm/hyp/nvhe/switch.c", classFrozen, "nvhe", "reboot into a kernel"},
		{"arch/arm64/kernel/pi/map_kernel.o", "../arch/arm64/kernel/pi/map_kernel.c", classFrozen, "pi", "reboot into a kernel"},
		{"arch/arm64/kernel/vdso/vgettimeofday.o", "../arch/arm64/kernel/vdso/vgettimeofday.c", classFrozen, "vdso", "reboot into a kernel"},
		{"drivers/firmware/efi/libstub/fdt.o", "../drivers/firmware/efi/libstub/fdt.c", classFrozen, "efi-stub", "reboot into a kernel"},
		{"arch/arm64/boot/dts/a.dtb", "../arch/arm64/boot/dts/a.dts", classFrozen, "boot", "reboot into a kernel"},
		{"arch/arm64/kernel/entry.o", "../arch/arm64/kernel/entry.S", classFrozen, "assembly", "change C code around it"},
		{"arch/arm64/kernel/asm-offsets.s", "../arch/arm64/kernel/asm-offsets.c", classText, "layout", "HOTPATCH_SHADOW"},
		{"arch/arm64/kernel/vmlinux.lds", "../arch/arm64/kernel/vmlinux.lds.S", classText, "boot", "reboot into a kernel"},
		{"scripts/mod/modpost.o", "../scripts/mod/modpost.c", classIgnore, "", ""},
	} {
		cl, r := classify(&cmdFile{target: tt.target, source: tt.source})
		if cl != tt.class || r.Rule != tt.rule || !strings.Contains(r.Remedy, tt.remedy) {
			t.Errorf("%s: class %d, refusal %+v; want %d, rule %s, remedy %q", tt.target, cl, r, tt.class, tt.rule, tt.remedy)
		}
	}
}

func TestKindOfFile(t *testing.T) {
	for _, tt := range []struct{ name, ignored, rule, remedy string }{
		{"fs/pipe.c", "", "", ""},
		{"Documentation/x.rst", "not part of the kernel image", "", ""},
		{"fs/Makefile", "", "kbuild", "put new code into existing files"},
		{"fs/Kconfig", "", "kbuild", "leave it out of the patch"},
	} {
		why, r := kindOfFile(tt.name)
		if !strings.Contains(why, tt.ignored) || (r == nil) != (tt.rule == "") || r != nil && (r.Rule != tt.rule || !strings.Contains(r.Remedy, tt.remedy)) {
			t.Errorf("%s: %q, %+v", tt.name, why, r)
		}
	}
}

func TestCompilerMismatch(t *testing.T) {
	k := &Kernel{Build: t.TempDir(), config: map[string]string{"CC_VERSION_TEXT": "another-gcc 99"}}
	_, err := k.CheckCompiler(t.Context(), []string{"make"})
	if err == nil || !strings.Contains(err.Error(), "install that one") || !strings.Contains(err.Error(), "another-gcc 99") {
		t.Errorf("another compiler: %v", err)
	}
	_, err = k.CheckCompiler(t.Context(), []string{"no-such-compiler"})
	if err == nil || !strings.Contains(err.Error(), "install it") {
		t.Errorf("no compiler: %v", err)
	}
}

func TestKernelCheck(t *testing.T) {
	good := map[string]string{"LIVEPATCH": "y", "KALLSYMS_ALL": "y", "CC_IS_GCC": "y"}
	for _, tt := range []struct{ option, value, want string }{
		{"X", "y", ""},
		{"LIVEPATCH", "n", "enable it and build the kernel again"},
		{"KALLSYMS_ALL", "n", "enable it and build the kernel again"},
		{"CC_IS_CLANG", "y", "clang is not supported yet"},
		{"TRIM_UNUSED_KSYMS", "y", "disable that"},
	} {
		config := map[string]string{}
		for k, v := range good {
			config[k] = v
		}
		config[tt.option] = tt.value
		err := (&Kernel{config: config}).Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s=%s: %v", tt.option, tt.value, err)
		}
	}
}
