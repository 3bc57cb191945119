package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/golden"
)

// specs are the machines whose command lines are kept in testdata.
var specs = map[string]Spec{
	"arm64": {Arch: arch.ARM64, Kernel: "Image", Initrd: []string{"initrd"}, Devices: []Device{Console{}, Port{Name: "agent"}, RNG{}}},
	"arm64-everything": {
		Arch: arch.ARM64, CPUs: 8, MemoryMiB: 4096, Kernel: "Image", Initrd: []string{"initrd"}, Cmdline: "loglevel=7 kunit.enable=1",
		NestedKVM: true, Devices: []Device{
			Console{}, Port{Name: "agent"}, Port{Name: "other,port"}, RNG{},
			Disk{Path: "/a,b/root.img", Serial: "root", ReadOnly: true}, Disk{Path: "scratch", Format: "qcow2"},
			Share{Dir: "/src", Tag: "share0", ReadOnly: true}, Share{Dir: "/out", Tag: "share1"},
			Net{}, GDB{Addr: "127.0.0.1:1234", Wait: true},
		},
	},
	"arm64-deterministic":  {Arch: arch.ARM64, Kernel: "Image", Deterministic: true, Devices: []Device{Console{}}},
	"arm64-slow":           {Arch: arch.ARM64, Kernel: "Image", Deterministic: true, InstructionNs: 8, Devices: []Device{Console{}}},
	"arm64-model":          {Arch: arch.ARM64, Kernel: "Image", CPUModel: "cortex-a53", Devices: []Device{Console{}}},
	"arm64-kvm":            {Arch: arch.ARM64, Kernel: "Image", Accel: KVM, Devices: []Device{Console{}}},
	"x86_64":               {Arch: arch.X86_64, Kernel: "bzImage", Initrd: []string{"initrd"}, Devices: []Device{Console{}, Port{Name: "agent"}, RNG{}}},
	"x86_64-deterministic": {Arch: arch.X86_64, Kernel: "bzImage", Deterministic: true, Devices: []Device{Console{}, Port{Name: "agent"}, Disk{Path: "d"}}},
	"x86_64-nested":        {Arch: arch.X86_64, Kernel: "bzImage", NestedKVM: true, Devices: []Device{Console{}, Disk{Path: "d", ReadOnly: true}}},
	"x86_64-kvm-nested":    {Arch: arch.X86_64, Kernel: "bzImage", Accel: KVM, NestedKVM: true, Devices: []Device{Console{}}},
	"arm64-dma":            {Arch: arch.ARM64, Kernel: "Image", Devices: []Device{Console{}, DMA{}}},
	"x86_64-dma":           {Arch: arch.X86_64, Kernel: "bzImage", Devices: []Device{Console{}, DMA{}}},
	"arm64-nodes":          {Arch: arch.ARM64, CPUs: 3, Kernel: "Image", Devices: []Device{Console{}, Nodes{Count: 2, CPUs: 3, MemoryMiB: 1024}}},
	"x86_64-nodes":         {Arch: arch.X86_64, CPUs: 4, Kernel: "bzImage", Devices: []Device{Console{}, Nodes{Count: 2, CPUs: 4, MemoryMiB: 1024}}},
	"x86_64-microvm": {
		Arch: arch.X86_64, Machine: "microvm", Kernel: "bzImage",
		Devices: []Device{Console{}, Port{Name: "agent"}, Disk{Path: "d"}, GDB{Addr: "/run/gdb.sock"}},
	},
}

func TestCommandLines(t *testing.T) {
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			initrd := ""
			if len(spec.Initrd) > 0 {
				initrd = spec.Initrd[0]
			}
			c, err := spec.build(initrd)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, filepath.Join("testdata", name+".golden"), lines(c.args))
		})
	}
}

// lines returns arguments as text, an option and its value a line.
func lines(args []string) string {
	var b strings.Builder
	for i, a := range args {
		switch {
		case i == 0:
		case strings.HasPrefix(a, "-"):
			b.WriteByte('\n')
		default:
			b.WriteByte(' ')
		}
		b.WriteString(a)
	}
	return b.String() + "\n"
}

func TestPortsGetTheirDescriptors(t *testing.T) {
	var files [2]*os.File
	for i := range files {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	c, err := Spec{Arch: arch.ARM64, Devices: []Device{Port{"a", files[0]}, Console{}, Port{"b", files[1]}}}.build("")
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join(c.args, " ")
	if !strings.Contains(line, "id=port0,fd=3") || !strings.Contains(line, "id=port1,fd=4") || len(c.files) != 2 || c.files[1] != files[1] {
		t.Errorf("%s with %d files", line, len(c.files))
	}
}

func TestSpecsThatCannotBe(t *testing.T) {
	tests := []struct {
		spec Spec
		want string
	}{
		{Spec{}, "no architecture"},
		{Spec{Arch: arch.ARM64, Machine: "q35"}, `machine "q35" is not one of arm64: it has virt`},
		{Spec{Arch: arch.X86_64, Machine: "pc"}, "it has q35, microvm"},
		{Spec{Arch: arch.ARM64, CPUs: 1000}, "1 to 512"},
		{Spec{Arch: arch.ARM64, MemoryMiB: 8}, "needs 32"},
		{Spec{Arch: arch.ARM64, CPUs: 2, Deterministic: true}, "one CPU"},
		{Spec{Arch: arch.ARM64, Accel: KVM, Deterministic: true}, "runs under TCG"},
		{Spec{Arch: arch.ARM64, Accel: KVM, NestedKVM: true}, "TCG can"},
		{Spec{Arch: arch.ARM64, Accel: KVM, CPUModel: "cortex-a53"}, "the host's CPU"},
	}
	for _, tt := range tests {
		_, err := tt.spec.build("")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want an error with %q", tt.spec, err, tt.want)
		}
	}
}

func TestConcatenateAligns(t *testing.T) {
	dir := t.TempDir()
	var parts []string
	for i, text := range []string{"12345", "1234", "1"} {
		p := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	out, err := concatenate(parts, dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if want := "12345\x00\x00\x0012341\x00\x00\x00"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	if one, err := concatenate(parts[:1], dir); err != nil || one != parts[0] {
		t.Errorf("of a single archive: %q, %v", one, err)
	}
}

func TestThreads(t *testing.T) {
	for _, test := range []struct {
		a     *arch.Arch
		accel Accel
		want  int
	}{
		{arch.ARM64, TCG, 4}, {arch.ARM64, KVM, 4}, {arch.X86_64, KVM, 4}, {arch.X86_64, TCG, 1},
	} {
		if got := Threads(test.a, test.accel, 4); got != test.want {
			t.Errorf("%s with %s: %d threads for 4 CPUs, want %d", test.a, test.accel, got, test.want)
		}
	}
}
