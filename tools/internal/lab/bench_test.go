package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/proc"
)

// BenchmarkBootToHello measures, side by side, the time from QEMU's start to
// the agent's hello (hello-ms), and the time that the bare QEMU command line
// takes, with the same kernel and initramfs, to the moment when the agent finds
// that there is no port to say hello on and prints so (bare-ms). ratio is that
// of the medians, cpu-ratio the same of the processor time that QEMU had used
// by then, which another load on the machine does not change; prepare-ms is
// what Boot does before QEMU starts.
//
//	CLOUDKERNEL_TEST_KERNEL_ARM64=Image go test -run '^$' -bench BootToHello -benchtime 20x ./tools/internal/lab
func BenchmarkBootToHello(b *testing.B) {
	for _, a := range arch.All {
		b.Run(a.Name, func(b *testing.B) {
			spec := testSpec(b, a)
			spec.Progress = io.Discard
			ctx := testContext(b)
			maker := &image.Maker{Store: spec.Store, Repo: spec.Repo}
			initrd, release, err := maker.Initramfs(ctx, a)
			if err != nil {
				b.Fatal(err)
			}
			defer release()
			var bare, hello, bareCPU, helloCPU, prepare []float64
			for b.Loop() {
				took, cpu := bareBoot(b, ctx, a, spec.Kernel, initrd)
				bare, bareCPU = append(bare, ms(took)), append(bareCPU, ms(cpu))
				began := time.Now()
				g, err := Boot(ctx, spec)
				if err != nil {
					b.Fatal(err)
				}
				whole := time.Since(began)
				helloCPU = append(helloCPU, ms(cpuTime(b, g.Machine.PID)))
				hello = append(hello, ms(g.Booted))
				prepare = append(prepare, ms(whole-g.Booted))
				g.Close()
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(bare), "bare-ms")
			b.ReportMetric(median(hello), "hello-ms")
			b.ReportMetric(median(prepare), "prepare-ms")
			b.ReportMetric(median(hello)/median(bare), "ratio")
			b.ReportMetric(median(helloCPU)/median(bareCPU), "cpu-ratio")
		})
	}
}

// cpuTime returns the processor time that a process has used.
func cpuTime(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	// The 14th and 15th field, in clock ticks of 10 ms (proc(5)).
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')'):]))
	var user, system int
	fmt.Sscan(f[12], &user)
	fmt.Sscan(f[13], &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// bareLines are what a person would type.
var bareLines = map[*arch.Arch]string{
	arch.ARM64:  "-M virt,gic-version=3 -cpu max,pauth-impdef=on -smp 2 -m 1024 -append console=ttyAMA0\u00a0quiet\u00a0panic=-1",
	arch.X86_64: "-M q35 -cpu max -smp 2 -m 1024 -append console=ttyS0\u00a0quiet\u00a0panic=-1\u00a0reboot=t",
}

func bareBoot(b *testing.B, ctx context.Context, a *arch.Arch, kernel, initrd string) (took, cpu time.Duration) {
	args := strings.Split("-nodefaults -no-user-config -display none -serial stdio -no-reboot "+bareLines[a], " ")
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "\u00a0", " ")
	}
	cmd := proc.Command(ctx, machine.Binary(a), append(args, "-kernel", kernel, "-initrd", initrd)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for sc := bufio.NewScanner(out); sc.Scan(); {
		if took == 0 && strings.Contains(sc.Text(), "cloudkernel: agent: ") {
			took, cpu = time.Since(began), cpuTime(b, cmd.Process.Pid)
		}
	}
	if err := cmd.Wait(); err != nil || took == 0 {
		b.Fatalf("the bare command line did not reach the agent: %v", err)
	}
	return took, cpu
}
