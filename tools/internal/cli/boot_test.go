package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/outcome"
)

// runKernlab runs the command in this process.
func runKernlab(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errw bytes.Buffer
	code = Run(t.Context(), append([]string{"-C", "../../.."}, args...), strings.NewReader(stdin), &out, &errw)
	return code, out.String(), errw.String()
}

func TestBootUsage(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"boot", "uname"}, "put -- before the command"},
		{[]string{"boot", "--arch", "vax"}, `unknown architecture "vax"`},
		{[]string{"boot", "--machine", "q35", "--kernel", "x"}, "--machine q35 is not one of arm64: it has virt"},
		{[]string{"boot", "--share", ":x", "--kernel", "x"}, "names no directory"},
		{[]string{"boot", "--share", "/tmp:relative", "--kernel", "x"}, "must be absolute"},
		{[]string{"boot", "--cpus", "two"}, "invalid argument"},
	}
	for _, tt := range tests {
		code, _, stderr := runKernlab(t, "", tt.args...)
		if code != outcome.ExitUsage || !strings.Contains(stderr, tt.want) {
			t.Errorf("%v: exit %d, %s", tt.args, code, stderr)
		}
	}
}

func TestBootWithoutKernel(t *testing.T) {
	t.Setenv("CLOUDKERNEL_CACHE", t.TempDir())
	code, _, stderr := runKernlab(t, "", "boot", "--kernel", "/no/such/Image", "--", "true")
	if code != outcome.Infra.Exit() || !strings.Contains(stderr, "/no/such/Image") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// testKernel returns the arguments that boot the kernel named by the
// environment, or skips the test.
func testKernel(t *testing.T, a *arch.Arch) []string {
	t.Helper()
	env := "CLOUDKERNEL_TEST_KERNEL_" + strings.ToUpper(a.Name)
	image := os.Getenv(env)
	if image == "" {
		t.Skipf("%s names no kernel image to boot", env)
	}
	return []string{"boot", "--arch", a.Name, "--kernel", image}
}

func TestBootCommand(t *testing.T) {
	for _, a := range arch.All {
		t.Run(a.Name, func(t *testing.T) {
			args := testKernel(t, a)
			code, stdout, stderr := runKernlab(t, "from stdin\n", append(args, "--", "sh", "-c", "cat; echo to stderr >&2; exit 42")...)
			if code != 42 || stdout != "from stdin\n" || !strings.Contains(stderr, "to stderr\n") {
				t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
			}
			if n := strings.Count(stderr, "\n"); n != 2 {
				t.Errorf("%d lines of stderr instead of one of ours and one of the command's:\n%s", n, stderr)
			}
		})
	}
}

func TestBootPanics(t *testing.T) {
	args := testKernel(t, arch.ARM64)
	dir := filepath.Join(t.TempDir(), "run")
	code, _, stderr := runKernlab(t, "echo c >/proc/sysrq-trigger\n", append(args, "--keep", dir)...)
	if code != outcome.Panic.Exit() || !strings.Contains(stderr, "kernel panic: sysrq triggered crash") || !strings.Contains(stderr, "the last lines of the guest's console") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	for _, name := range []string{"console.log", "qemu.txt"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() == 0 {
			t.Errorf("--keep: %v", err)
		}
	}
}

// A person at a terminal: prompt, job control, Ctrl-C, the window's size, the
// shell's exit code.
func TestBootShell(t *testing.T) {
	args := testKernel(t, arch.ARM64)
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 31, Cols: 99}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var screen bytes.Buffer
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := person.Read(buf)
			mu.Lock()
			screen.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	typed := func(text string) {
		t.Helper()
		if _, err := person.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	// see waits until text is on the screen, beyond what was seen before. A key
	// is pressed until it shows: a person does not know either when a job
	// listens.
	seen := 0
	see := func(text string, key ...string) {
		t.Helper()
		for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
			for _, k := range key {
				typed(k)
			}
			mu.Lock()
			rest := screen.String()[seen:]
			if i := strings.Index(rest, text); i >= 0 {
				seen += i + len(text)
				mu.Unlock()
				return
			}
			mu.Unlock()
			if time.Now().After(deadline) {
				t.Fatalf("no %q on the screen; there is:\n%s", text, rest)
			}
		}
	}
	done := make(chan int, 1)
	go func() {
		done <- Run(t.Context(), append([]string{"-C", "../../.."}, args...), tty, tty, tty)
	}()
	see("guest:~#")
	typed("stty size; echo $TERM\r")
	see("31 99")
	typed("sh -c 'echo be''gun; sleep 1000'\r")
	see("begun")
	see("Stopped", "\x1a") // Ctrl-Z
	see("guest:~#")
	typed("fg\r")
	see("sh -c")
	see("guest:~#", "\x03") // Ctrl-C
	typed("\rexit 6\r")
	if code := <-done; code != 6 {
		t.Errorf("exit %d", code)
	}
	// The escape leaves a guest whatever it does.
	go func() {
		done <- Run(t.Context(), append([]string{"-C", "../../.."}, args...), tty, tty, tty)
	}()
	see("guest:~#")
	typed("\r~.")
	if code := <-done; code != outcome.ExitInterrupted {
		t.Errorf("after the escape: exit %d", code)
	}
}
