package agent

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/guest"
)

// serve starts an agent in this process and returns a client of it.
func serve(t *testing.T) *guest.Client {
	t.Helper()
	host, port := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(port, func() { port.Close() }) }()
	c, hello, err := guest.Accept(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	if hello.Release == "" || hello.CPUs < 1 || hello.Memory < 1<<20 || hello.Boot <= 0 {
		t.Fatalf("hello: %+v", hello)
	}
	t.Cleanup(func() {
		c.Close()
		port.Close()
		<-ended
	})
	return c
}

func sh(script string) []string { return []string{"/bin/sh", "-c", script} }

func TestRun(t *testing.T) {
	c := serve(t)
	tests := []struct {
		name           string
		cmd            guest.Cmd
		stdin          string
		exit           int
		stdout, stderr string
	}{
		{"streams", guest.Cmd{Argv: sh("cat; echo err >&2; exit 7")}, "in\n", 7, "in\n", "err\n"},
		{"killed", guest.Cmd{Argv: sh("kill -TERM $$")}, "", 128 + 15, "", ""},
		{"env", guest.Cmd{Argv: sh("echo $A $HOME"), Env: []string{"A=1", "A=2", "HOME=/"}}, "", 0, "2 /\n", ""},
		{"dir", guest.Cmd{Argv: sh("pwd"), Dir: "/proc"}, "", 0, "/proc\n", ""},
		{"path", guest.Cmd{Argv: []string{"true"}}, "", 0, "", ""},
		{"unread input", guest.Cmd{Argv: []string{"true"}}, strings.Repeat("x", 3<<20), 0, "", ""},
		{"closed output", guest.Cmd{Argv: sh("exec >&- 2>&-; exit 4")}, "", 4, "", ""},
		{"daemon left behind", guest.Cmd{Argv: sh("sleep 1000 & echo $!")}, "", 0, "PID", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			tt.cmd.Stdin, tt.cmd.Stdout, tt.cmd.Stderr = strings.NewReader(tt.stdin), &stdout, &stderr
			exit, err := c.Run(t.Context(), tt.cmd)
			if err != nil {
				t.Fatal(err)
			}
			if tt.stdout == "PID" {
				pid, err := strconv.Atoi(strings.TrimSpace(stdout.String()))
				if err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Errorf("what a command leaves behind must live on: %v", err)
				}
				return
			}
			if exit != tt.exit || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d, %q, %q", exit, stdout.String(), stderr.String(), tt.exit, tt.stdout, tt.stderr)
			}
		})
	}
}

func TestRunErrors(t *testing.T) {
	c := serve(t)
	for want, argv := range map[string][]string{
		"not found in PATH": {"no-such-command"},
		"no such file":      {"/no/such/file"},
		"no command":        {},
	} {
		_, err := c.Run(t.Context(), guest.Cmd{Argv: argv})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", argv, err, want)
		}
	}
	_, err := c.Run(t.Context(), guest.Cmd{Argv: []string{"true", strings.Repeat("x", guest.MaxPayload)}})
	if err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a command line beyond the bound: %v", err)
	}
}

func TestMuchDataManyCommands(t *testing.T) {
	c := serve(t)
	data := make([]byte, 5<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var out bytes.Buffer
			exit, err := c.Run(t.Context(), guest.Cmd{Argv: []string{"cat"}, Stdin: bytes.NewReader(data), Stdout: &out})
			if err != nil || exit != 0 || !bytes.Equal(out.Bytes(), data) {
				t.Errorf("exit %d, %v; %d bytes came back of %d", exit, err, out.Len(), len(data))
			}
		}()
	}
	wg.Wait()
}

// A command whose output nobody takes holds up nothing else.
func TestStalledReader(t *testing.T) {
	c := serve(t)
	r, w := io.Pipe() // nobody reads r
	p, err := c.Start(guest.Cmd{Argv: []string{"cat", "/dev/zero"}, Stdout: w})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	exit, err := c.Run(t.Context(), guest.Cmd{Argv: []string{"echo", "hi"}, Stdout: &out})
	if err != nil || exit != 0 || out.String() != "hi\n" {
		t.Fatalf("beside it: exit %d, %v, %q", exit, err, out.String())
	}
	if err := c.Heartbeat(10 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	_, first := c.Heard()
	waitFor(t, func() bool { _, now := c.Heard(); return now > first })
	// When the taker goes away for good, the command ends as in a broken pipe.
	r.CloseWithError(errors.New("taker gone"))
	if _, err := p.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "taker gone") {
		t.Errorf("the command ended with %v", err)
	}
}

func TestCancelKillsTheWholeSession(t *testing.T) {
	c := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		var pid int
		fmt.Fscan(r, &pid)
		cancel()
		_, _ = io.Copy(io.Discard, r)
	}()
	// The shell's children are in its process group and would live on.
	var pids bytes.Buffer
	_, err := c.Run(ctx, guest.Cmd{Argv: sh("sleep 1000 & echo $!; wait"), Stdout: io.MultiWriter(&pids, w)})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(pids.String()))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH || zombie(pid) })
}

func zombie(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(data), ") Z ")
}

// Orphans fall to PID 1; here this process takes them.
func TestReapsOrphans(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skip(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	c := serve(t)
	var out bytes.Buffer
	exit, err := c.Run(t.Context(), guest.Cmd{Argv: sh("(sleep 0.05 & echo $!)"), Stdout: &out})
	if err != nil || exit != 0 {
		t.Fatal(exit, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

// needTerminals skips a test on a machine, such as a bare chroot, that has none
// to give.
func needTerminals(t *testing.T) {
	t.Helper()
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	ptmx.Close()
	tty.Close()
}

func TestTerminal(t *testing.T) {
	needTerminals(t)
	c := serve(t)
	var out bytes.Buffer
	exit, err := c.Run(t.Context(), guest.Cmd{
		Argv: sh("test -t 0 && test -t 1 && test -t 2 && stty size && tty >/dev/null"), TTY: true,
		Size: guest.Size{Rows: 33, Cols: 99}, Stdout: &out,
	})
	if err != nil || exit != 0 || strings.TrimSpace(out.String()) != "33 99" {
		t.Fatalf("exit %d, %v, %q", exit, err, out.String())
	}
	// It is the controlling terminal: Ctrl-C reaches the foreground job.
	r, w := io.Pipe()
	var text safeBuffer
	p, err := c.Start(guest.Cmd{Argv: sh("trap 'exit 9' INT; echo ready; sleep 1000 & wait"), TTY: true, Stdin: r, Stdout: &text})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return strings.Contains(text.String(), "ready") })
	fmt.Fprint(w, "\x03")
	status, err := p.Wait(t.Context())
	if err != nil || status.Code != 9 {
		t.Fatalf("after Ctrl-C: %+v, %v, %q", status, err, text.String())
	}
}

func TestResize(t *testing.T) {
	needTerminals(t)
	c := serve(t)
	r, w := io.Pipe()
	var out safeBuffer
	p, err := c.Start(guest.Cmd{Argv: sh("echo ready; read x; stty size"), TTY: true, Size: guest.Size{Rows: 24, Cols: 80}, Stdin: r, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return strings.Contains(out.String(), "ready") })
	if err := p.Resize(guest.Size{Rows: 50, Cols: 132}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, "\r")
	if _, err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "50 132") {
		t.Errorf("the terminal's size: %q", out.String())
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestFiles(t *testing.T) {
	c := serve(t)
	path := filepath.Join(t.TempDir(), "a/b/file")
	data := bytes.Repeat([]byte("cloudkernel\n"), 100_000)
	for range 2 { // the second time it is replaced
		if err := c.Put(t.Context(), path, 0o751, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o751 {
		t.Errorf("the file put: %v, %v", st, err)
	}
	var got bytes.Buffer
	if err := c.Get(t.Context(), path, &got); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("got %d bytes of %d, %v", got.Len(), len(data), err)
	}
	got.Reset()
	if err := c.Get(t.Context(), "/proc/self/comm", &got); err != nil || got.Len() == 0 {
		t.Errorf("a file of /proc: %q, %v", got.String(), err)
	}
	if err := c.Get(t.Context(), "/no/such", io.Discard); err == nil || !strings.Contains(err.Error(), "get /no/such") {
		t.Errorf("a file that is not there: %v", err)
	}
	broken := errors.New("source broken")
	err := c.Put(t.Context(), path, 0o644, io.MultiReader(strings.NewReader("half"), errReader{broken}))
	if err == nil {
		t.Error("a put whose source broke succeeded")
	}
	if st, _ := os.Stat(path); st.Size() != int64(len(data)) {
		t.Errorf("a put that failed left a file of %d bytes", st.Size())
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestGone(t *testing.T) {
	c := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := c.Start(guest.Cmd{Argv: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Poweroff(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(ctx); !errors.Is(err, guest.ErrGone) {
		t.Errorf("a command in a guest that went away: %v", err)
	}
	if _, err := c.Run(ctx, guest.Cmd{Argv: []string{"true"}}); !errors.Is(err, guest.ErrGone) {
		t.Errorf("a command after that: %v", err)
	}
}

// waitFor waits until ok; the deadline is for a test that hangs, not a measure.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to that within a minute")
		}
	}
}
