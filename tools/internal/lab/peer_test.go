package lab

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/proc"
)

// BenchmarkBootToCommand measures, side by side, the time from an order to the
// first output of a command in a fresh guest: by us, and by virtme-ng with the
// same kernel, CPUs and memory (Debian 13 has it). virtme-ng's guest has the
// host's root file system by 9p, and starts udev; ours has an initramfs and the
// agent. ratio is that of the medians.
//
//	CLOUDKERNEL_TEST_KERNEL_X86_64=bzImage go test -run '^$' -bench BootToCommand -benchtime 5x -timeout 1h ./tools/internal/lab
func BenchmarkBootToCommand(b *testing.B) {
	if _, err := exec.LookPath("vng"); err != nil {
		b.Skip("virtme-ng is not installed")
	}
	spec := testSpec(b, arch.X86_64)
	spec.Progress = io.Discard
	spec.CPUs, spec.MemoryMiB = 1, 1024
	ctx := b.Context()
	var ours, theirs []float64
	for b.Loop() {
		ours = append(ours, ms(ourCommand(b, ctx, spec)))
		theirs = append(theirs, ms(virtmeCommand(b, ctx, spec)))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ours), "kernlab-ms")
	b.ReportMetric(median(theirs), "virtme-ng-ms")
	b.ReportMetric(median(theirs)/median(ours), "ratio")
}

const spoken = "a command speaks"

func ourCommand(b *testing.B, ctx context.Context, spec Spec) time.Duration {
	began := time.Now()
	g, err := Boot(ctx, spec)
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	var said strings.Builder
	if _, err := g.Run(ctx, guest.Cmd{Argv: []string{"echo", spoken}, Stdout: &said, Stderr: io.Discard}); err != nil {
		b.Fatal(err)
	}
	if strings.TrimSpace(said.String()) != spoken {
		b.Fatalf("the guest said %q", said.String())
	}
	return time.Since(began)
}

func virtmeCommand(b *testing.B, ctx context.Context, spec Spec) time.Duration {
	cmd := proc.Command(ctx, "vng", "--run", spec.Kernel, "--disable-kvm", "--force-9p", "--cpus", "1", "--memory", "1G",
		"--user", "root", "--append", "kunit.enable=0", "--verbose", "--exec", "echo "+spoken)
	began := time.Now()
	terminal, err := pty.Start(cmd) // it asks for one
	if err != nil {
		b.Fatal(err)
	}
	defer terminal.Close()
	var took time.Duration
	var last []string
	for sc := bufio.NewScanner(terminal); sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		if took == 0 && line == spoken {
			took = time.Since(began)
		}
		if last = append(last, line); len(last) > 20 {
			last = last[1:]
		}
	}
	// How its guest ends afterwards is no matter here.
	_ = cmd.Wait()
	if took == 0 {
		b.Fatalf("virtme-ng's guest did not say it:\n%s", strings.Join(last, "\n"))
	}
	return took
}
