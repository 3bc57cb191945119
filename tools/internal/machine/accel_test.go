package machine

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/proc"
)

// The bytes of the probes are what their sources assemble to.
func TestProbesAreTheirSources(t *testing.T) {
	tools := map[*arch.Arch]struct{ prefix, flag string }{
		arch.ARM64:  {"aarch64-linux-gnu-", "-EL"},
		arch.X86_64: {"x86_64-linux-gnu-", "--32"},
	}
	for a, p := range probes {
		t.Run(a.Name, func(t *testing.T) {
			tool := tools[a]
			for _, name := range []string{"as", "objcopy"} {
				if _, err := exec.LookPath(tool.prefix + name); err != nil {
					t.Skip(err)
				}
			}
			dir := t.TempDir()
			object, image := filepath.Join(dir, "o"), filepath.Join(dir, "bin")
			for _, args := range [][]string{
				{tool.prefix + "as", tool.flag, "-o", object, filepath.Join("probe", a.Name+".S")},
				{tool.prefix + "objcopy", "-O", "binary", "-j", ".text", object, image},
			} {
				if out, err := proc.Command(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", args, err, out)
				}
			}
			got, err := os.ReadFile(image)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, p.image) {
				t.Errorf("the source assembles to\n% x\nand not to\n% x", got, p.image)
			}
		})
	}
}

// Under TCG the probes run to their end, which shows that they can.
func TestProbesRun(t *testing.T) {
	for a, p := range probes {
		t.Run(a.Name, func(t *testing.T) {
			if _, err := exec.LookPath(Binary(a)); err != nil {
				t.Skip(err)
			}
			if _, err := p.run(t.Context(), a, TCG, t.TempDir(), time.Minute); err != nil {
				t.Fatal(err)
			}
			// One that never ends is given up.
			endless := p
			endless.image = bytes.Clone(p.image)
			switch a {
			case arch.ARM64:
				copy(endless.image, []byte{0x00, 0x00, 0x00, 0x14}) // b .
			case arch.X86_64:
				copy(endless.image[32:], []byte{0xeb, 0xfe}) // jmp .
			}
			if _, err := endless.run(t.Context(), a, TCG, t.TempDir(), time.Second); err != context.DeadlineExceeded {
				t.Errorf("a guest that never ends: %v", err)
			}
		})
	}
}

func TestVerdictIsOneLine(t *testing.T) {
	for _, v := range []Verdict{{Accel: KVM}, {Accel: TCG, Why: "there is no /dev/kvm here"}} {
		if s := v.String(); strings.Contains(s, "\n") || s == "" {
			t.Errorf("%q", s)
		}
	}
	if s := (Verdict{Accel: TCG, Why: "so"}).String(); !strings.Contains(s, "slower") || !strings.HasSuffix(s, "so") {
		t.Errorf("what TCG costs, and why, is missing: %q", s)
	}
}
