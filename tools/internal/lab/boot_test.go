package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/outcome"
)

// run runs a shell script in a guest and returns what it printed.
func run(t testing.TB, ctx context.Context, g *Guest, script string) string {
	t.Helper()
	var out bytes.Buffer
	exit, err := g.Run(ctx, guest.Cmd{Argv: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil || exit != 0 {
		t.Fatalf("%s: exit %d, %v\n%s", script, exit, g.Explain(err), out.String())
	}
	return strings.TrimSpace(out.String())
}

func TestBoot(t *testing.T) {
	eachArch(t, func(t *testing.T, spec Spec) {
		ctx := testContext(t)
		spec.CPUs, spec.MemoryMiB = 3, 512
		spec.Files = []image.Entry{{Path: "/opt/case/run", Mode: 0o755, Data: []byte("#!/bin/sh\necho case $1\n")}}
		g := boot(t, ctx, spec)
		t.Logf("Linux %s up after %s (%s of guest time); %s", g.Hello.Release, g.Booted, g.Hello.Boot, g.Accel)
		if g.Hello.CPUs != 3 || g.Hello.Memory>>20 > 512 || g.Hello.Memory>>20 < 400 {
			t.Errorf("hello: %+v", g.Hello)
		}
		for script, want := range map[string]string{
			"uname -r; hostname":                                           g.Hello.Release + "\nguest",
			"/opt/case/run 7":                                              "case 7",
			"cat /proc/1/comm; echo $$ >/dev/null":                         "init",
			"ping -c 1 -W 5 127.0.0.1 >/dev/null && echo up":               "up",
			"grep -c cgroup2 /proc/mounts":                                 "1",
			"ls -d /sys/kernel/tracing/events /sys/fs/cgroup/cgroup.procs": "/sys/fs/cgroup/cgroup.procs\n/sys/kernel/tracing/events",
		} {
			if got := run(t, ctx, g, script); got != want {
				t.Errorf("%s: %q, want %q", script, got, want)
			}
		}
		var out bytes.Buffer
		exit, err := g.Run(ctx, guest.Cmd{Argv: []string{"id", "-u"}, UID: 1000, GID: 1000, Stdout: &out})
		if err != nil || exit != 0 || out.String() != "1000\n" {
			t.Errorf("as another user: %d, %v, %q", exit, err, out.String())
		}
		out.Reset()
		exit, err = g.Run(ctx, guest.Cmd{Argv: []string{"sh", "-c", "stty size; exit 5"}, TTY: true, Size: guest.Size{Rows: 7, Cols: 77}, Stdout: &out})
		if err != nil || exit != 5 || strings.TrimSpace(out.String()) != "7 77" {
			t.Errorf("on a terminal: %d, %v, %q", exit, err, out.String())
		}
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
		if err := g.Put(ctx, "/tmp/d/file", 0o600, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if err := g.Get(ctx, "/tmp/d/file", &out); err != nil || !bytes.Equal(out.Bytes(), data) {
			t.Errorf("a file put and got: %d bytes of %d, %v", out.Len(), len(data), err)
		}
		dir := g.Dir
		pid := g.Machine.PID
		g.Close()
		gone(t, pid)
		if _, err := os.Stat(filepath.Join(dir, "console.log")); err != nil {
			t.Errorf("the caller's directory was not kept: %v", err)
		}
	})
}

// gone waits until a process is no more; the deadline is for a test that hangs.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

func TestShares(t *testing.T) {
	eachArch(t, func(t *testing.T, spec Spec) {
		ctx := testContext(t)
		in, out := t.TempDir(), t.TempDir()
		if err := os.WriteFile(filepath.Join(in, "hello"), []byte("#!/bin/sh\necho from the host\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		spec.Shares = []Share{{Dir: in, Path: "/in", ReadOnly: true}, {Dir: out, Path: "/a/b/out"}}
		g := boot(t, ctx, spec)
		if got := run(t, ctx, g, "/in/hello"); got != "from the host" {
			t.Errorf("%q", got)
		}
		if got := run(t, ctx, g, "touch /in/x 2>/dev/null || echo refused"); got != "refused" {
			t.Errorf("writing to a read-only share: %q", got)
		}
		run(t, ctx, g, "echo from the guest >/a/b/out/file")
		data, err := os.ReadFile(filepath.Join(out, "file"))
		if err != nil || string(data) != "from the guest\n" {
			t.Errorf("on the host: %q, %v", data, err)
		}
	})
}

func TestNetwork(t *testing.T) {
	eachArch(t, func(t *testing.T, spec Spec) {
		ctx := testContext(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintln(c, "hello guest")
				c.Close()
			}
		}()
		spec.Network = true
		g := boot(t, ctx, spec)
		port := l.Addr().(*net.TCPAddr).Port
		if got := run(t, ctx, g, fmt.Sprintf("nc 10.0.2.2 %d </dev/null", port)); got != "hello guest" {
			t.Errorf("from the host: %q", got)
		}
	})
}

func TestDeterministic(t *testing.T) {
	eachArch(t, func(t *testing.T, spec Spec) {
		ctx := testContext(t)
		spec.Deterministic = true
		var boots [2]time.Duration
		for i := range boots {
			g := boot(t, ctx, spec)
			boots[i] = g.Hello.Boot
			g.Close()
		}
		if boots[0] != boots[1] {
			t.Errorf("two runs reached the hello at %d and %d ns of guest time", boots[0], boots[1])
		}
	})
}

func TestPanic(t *testing.T) {
	eachArch(t, func(t *testing.T, spec Spec) {
		ctx := testContext(t)
		var mu sync.Mutex
		var lines []string
		spec.OnLine = func(l string) { mu.Lock(); lines = append(lines, l); mu.Unlock() }
		g := boot(t, ctx, spec)
		_, err := g.Run(ctx, guest.Cmd{Argv: []string{"sh", "-c", "echo c >/proc/sysrq-trigger"}})
		err = g.Explain(err)
		if outcome.Of(err) != outcome.Panic || !strings.Contains(err.Error(), "sysrq triggered crash") {
			t.Errorf("outcome %s: %v", outcome.Of(err), err)
		}
		mu.Lock()
		defer mu.Unlock()
		if text := strings.Join(lines, "\n"); !strings.Contains(text, "Call trace:") && !strings.Contains(text, "Call Trace:") {
			t.Errorf("the lines handed on lack the trace:\n%s", text)
		}
	})
}

func TestEndsThatAreNotPanics(t *testing.T) {
	eachArch(t, func(t *testing.T, spec Spec) {
		ctx := testContext(t)
		g := boot(t, ctx, spec)
		_, err := g.Run(ctx, guest.Cmd{Argv: []string{"poweroff", "-f"}})
		if err = g.Explain(err); !errors.Is(err, ErrSwitchedOff) {
			t.Errorf("after poweroff: %v", err)
		}
		g.Close()

		g = boot(t, ctx, spec)
		syscall.Kill(g.Machine.PID, syscall.SIGKILL)
		_, err = g.Run(ctx, guest.Cmd{Argv: []string{"true"}})
		if err = g.Explain(err); outcome.Of(err) != outcome.Infra || !strings.Contains(err.Error(), "qemu: signal: killed") {
			t.Errorf("after QEMU was killed: %s, %v", outcome.Of(err), err)
		}
	})
}

func TestBootFailures(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*Spec)
		outcome outcome.Outcome
		want    string
	}{
		{"no agent", func(s *Spec) { s.Cmdline = "rdinit=/no/such init=/no/such" }, outcome.BootFail, "kernel panic: "},
		{"agent that ends", func(s *Spec) { s.Cmdline = "rdinit=/usr/bin/true" }, outcome.BootFail, "Attempted to kill init"},
		{"slow", func(s *Spec) { s.Timeout = 100 * time.Millisecond }, outcome.BootFail, "did not say hello within 100ms"},
		{"a CPU is missing", func(s *Spec) { s.CPUs = 3; s.Cmdline = "nosmp" }, outcome.BootFail, "of 3 CPUs came up"},
		{"no kernel", func(s *Spec) { s.Kernel += ".not" }, outcome.Infra, "no such file"},
		{"QEMU refuses", func(s *Spec) { s.MemoryMiB = 1 << 40 }, outcome.Infra, "qemu: "},
		{"bad share", func(s *Spec) { s.Shares = []Share{{Dir: "/dev/null", Path: "/x"}} }, outcome.Infra, "not a directory"},
		{"wrong machine", func(s *Spec) { s.Machine = "vax" }, outcome.Infra, `machine "vax"`},
	}
	eachArch(t, func(t *testing.T, spec Spec) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				spec := spec
				spec.Dir = t.TempDir()
				tt.change(&spec)
				_, err := Boot(testContext(t), spec)
				if outcome.Of(err) != tt.outcome || !strings.Contains(fmt.Sprint(err), tt.want) {
					t.Errorf("%s: %v\nwant %s with %q", outcome.Of(err), err, tt.outcome, tt.want)
				}
			})
		}
	})
}

// A guest that floods its console is still there, still judged, and fills
// neither memory nor the disk.
func TestFlood(t *testing.T) {
	eachArch(t, func(t *testing.T, spec Spec) {
		ctx := testContext(t)
		var mu sync.Mutex
		floods := 0
		spec.OnLine = func(l string) {
			if strings.HasSuffix(l, "flood of the console") {
				mu.Lock()
				floods++
				mu.Unlock()
			}
		}
		g := boot(t, ctx, spec)
		p, err := g.Start(guest.Cmd{Argv: []string{"sh", "-c", "yes $(seq 1 50) flood of the console >/dev/console"}})
		if err != nil {
			t.Fatal(err)
		}
		const enough = 7 << 20
		for {
			if total, _ := g.Console.Bytes(); total > enough {
				break
			}
			if got := run(t, ctx, g, "echo alive"); got != "alive" {
				t.Fatalf("during the flood: %q", got)
			}
		}
		_ = p.Signal(syscall.SIGKILL)
		if _, err := p.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		g.Close()
		total, dropped := g.Console.Bytes()
		info, err := os.Stat(filepath.Join(spec.Dir, "console.log"))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes printed, %d in the log, %d dropped, %d lines handed on", total, info.Size(), dropped, floods)
		if info.Size() > 7<<20 || dropped == 0 || int64(floods) < total/170 {
			t.Errorf("%d bytes printed, %d in the log, %d dropped, %d lines handed on", total, info.Size(), dropped, floods)
		}
	})
}

func TestCancel(t *testing.T) {
	eachArch(t, func(t *testing.T, spec Spec) {
		spec.Dir = ""
		t.Setenv("TMPDIR", t.TempDir())
		ctx, cancel := context.WithCancel(testContext(t))
		spec.OnLine = func(string) { cancel() } // the kernel's first words
		if _, err := Boot(ctx, spec); !errors.Is(err, context.Canceled) {
			t.Errorf("Boot: %v", err)
		}
		left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*"))
		if len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// TestKilled boots a guest in a process that is killed: QEMU goes with it.
func TestKilled(t *testing.T) {
	if os.Getenv("CLOUDKERNEL_TEST_CHILD") != "" {
		a, err := arch.Parse(os.Getenv("CLOUDKERNEL_TEST_CHILD"))
		if err != nil {
			t.Fatal(err)
		}
		g := boot(t, t.Context(), testSpec(t, a))
		fmt.Printf("QEMU %d\n", g.Machine.PID)
		select {}
	}
	eachArch(t, func(t *testing.T, spec Spec) {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
		cmd.Env = append(os.Environ(), "CLOUDKERNEL_TEST_CHILD="+spec.Arch.Name)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		var text []byte
		buf := make([]byte, 4096)
		for !bytes.Contains(text, []byte("\n")) || !bytes.Contains(text, []byte("QEMU ")) {
			n, err := out.Read(buf)
			if err != nil {
				t.Fatalf("the child ended: %v\n%s", err, text)
			}
			text = append(text, buf[:n]...)
		}
		_, rest, _ := strings.Cut(string(text), "QEMU ")
		pid, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); err != nil {
			t.Fatalf("QEMU does not run: %v", err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		gone(t, pid)
	})
}

func TestGDB(t *testing.T) {
	eachArch(t, func(t *testing.T, spec Spec) {
		sock := filepath.Join(t.TempDir(), "gdb")
		spec.GDB = &machine.GDB{Addr: sock, Wait: true}
		spec.Timeout = time.Minute
		spec.OnLine = func(string) { t.Error("the guest ran before the debugger said so") }
		ctx, cancel := context.WithCancel(testContext(t))
		ended := make(chan error, 1)
		go func() { _, err := Boot(ctx, spec); ended <- err }()
		// "?" asks why the machine stands; "T05" and the thread is the answer.
		var answer string
		for answer == "" {
			c, err := net.Dial("unix", sock)
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			fmt.Fprint(c, "$?#3f")
			buf := make([]byte, 64)
			for !strings.Contains(answer, "#") {
				n, err := c.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				answer += string(buf[:n])
			}
			c.Close()
		}
		if !strings.HasPrefix(answer, "+$T05") {
			t.Errorf("the debugger stub says %q", answer)
		}
		cancel()
		<-ended
	})
}
