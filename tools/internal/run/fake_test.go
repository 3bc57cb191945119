package run

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/cases"
	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/guest/agent"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/known"
	"cloudkernel/tools/internal/lab"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/payload"
	"cloudkernel/tools/internal/result"
	"cloudkernel/tools/internal/store"
)

// The guests of these tests are processes: the real agent over a real socket,
// which runs real commands, but on this machine. What the kernel would print
// on its console they write into a named pipe.

const agentEnv = "CLOUDKERNEL_TEST_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(agentEnv) == "" {
		os.Exit(m.Run())
	}
	syscall.CloseOnExec(3) // the commands' end must not be the channel's
	conn, err := net.FileConn(os.NewFile(3, "channel"))
	if err != nil {
		panic(err)
	}
	_ = agent.Serve(conn, func() { os.Exit(0) })
}

// fakeGuest is a process that stands for a guest.
type fakeGuest struct {
	*guest.Client
	cmd    *exec.Cmd
	gone   chan struct{}
	closed sync.Once

	mu     sync.Mutex
	panics bool
}

func (g *fakeGuest) Loud(context.Context)         {}
func (g *fakeGuest) Mark(context.Context, string) {}
func (g *fakeGuest) Stacks(context.Context)       {}

// Monitor knows one command.
func (g *fakeGuest) Monitor(line string) (string, error) {
	if line != "good" {
		return "unknown command: '" + line + "'", nil
	}
	return "", nil
}

func (g *fakeGuest) Prod() bool { return false }

func (g *fakeGuest) Kill() {
	_ = g.cmd.Process.Kill()
	<-g.gone
}

func (g *fakeGuest) Close() error {
	g.closed.Do(func() {
		g.Kill()
		_ = g.Client.Close()
	})
	return nil
}

func (g *fakeGuest) Explain(err error) error {
	if !errors.Is(err, guest.ErrGone) {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.panics {
		return &outcome.Error{Outcome: outcome.Panic, Err: errors.New("kernel panic")}
	}
	return lab.ErrSwitchedOff
}

// bench is what a test of the runner stands on.
type bench struct {
	*Runner
	t       *testing.T
	console string // the named pipe of every guest's console

	mu     sync.Mutex
	boots  int
	now    int // guests that run
	most   int // … at once
	events []result.Event
}

// newBench returns a runner of the cases that the files of texts hold, by name.
func newBench(t *testing.T, texts map[string]string) *bench {
	t.Helper()
	b := &bench{t: t, console: filepath.Join(t.TempDir(), "console")}
	var list []*cases.Case
	for name, text := range texts {
		text = strings.ReplaceAll(text, "$CONSOLE", b.console)
		c, err := cases.Parse("qemu-tests/"+name+".yaml", []byte("summary: s\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *cases.Case) int { return strings.Compare(a.Name, b.Name) })
	st := store.Open(t.TempDir())
	b.Runner = &Runner{
		Root: t.TempDir(), Store: st, Kernels: fakeKernels{t.TempDir()}, Lists: &known.Lists{Now: time.Now()},
		Payload: &payload.Maker{Store: st}, Boot: b.boot, Sink: b,
		Cases: list, Arches: []*arch.Arch{arch.ARM64}, LogDir: t.TempDir(), Jobs: 8, dir: t.TempDir(),
	}
	return b
}

func (b *bench) Event(e result.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

func (b *bench) Close(*result.Run) error { return nil }

func (b *bench) boot(ctx context.Context, spec lab.Spec) (Guest, error) {
	b.mu.Lock()
	b.boots++
	b.now++
	b.most = max(b.most, b.now)
	pipe := fmt.Sprint(b.console, ".", b.boots)
	b.mu.Unlock()
	if strings.Contains(spec.Cmdline, "no-boot") {
		spec.OnLine("[    0.100000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)")
		b.left()
		return nil, &outcome.Error{Outcome: outcome.BootFail, Err: errors.New("kernel panic")}
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	g := &fakeGuest{gone: make(chan struct{})}
	g.cmd = exec.CommandContext(ctx, os.Args[0])
	g.cmd.Env = append(os.Environ(), agentEnv+"=1")
	g.cmd.ExtraFiles = []*os.File{theirs}
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	_ = theirs.Close()
	go func() {
		_ = g.cmd.Wait()
		b.left()
		close(g.gone)
	}()
	if g.Client, _, err = guest.Accept(ctx, ours); err != nil {
		return nil, err
	}
	if err := g.Client.Heartbeat(50 * time.Millisecond); err != nil {
		return nil, err
	}
	return g, b.listen(g, pipe, spec.OnLine)
}

func (b *bench) left() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now--
}

// listen reads lines for the console. A kernel that panics ends its guest.
func (b *bench) listen(g *fakeGuest, pipe string, onLine func(string)) error {
	// The steps write to one name; the last guest has it.
	if err := mkfifo(pipe); err != nil {
		return err
	}
	f, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_ = os.Remove(b.console)
	if err := os.Symlink(pipe, b.console); err != nil {
		return err
	}
	go func() {
		<-g.gone
		_ = f.Close()
	}()
	go func() {
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			onLine(lines.Text())
			if strings.Contains(lines.Text(), "end Kernel panic") {
				g.mu.Lock()
				g.panics = true
				g.mu.Unlock()
				_ = g.cmd.Process.Kill()
			}
		}
	}()
	return nil
}

// fakeKernels has a kernel for everything but the profile "broken".
type fakeKernels struct{ dir string }

func (k fakeKernels) Build(_ context.Context, r kernel.Request) (*kernel.Kernel, func(), error) {
	if r.Profile == "broken" {
		return nil, nil, errors.New("fs/proc/base.c:12: error: what is this?\nmore")
	}
	out := &kernel.Kernel{Arch: r.Arch, Dir: k.dir, Info: kernel.Info{ArchName: r.Arch.Name, Profile: "default", Release: "6.12", Key: "key"}}
	return out, func() {}, os.WriteFile(out.Config(), []byte("CONFIG_A=y\n"), 0o644)
}

func (k fakeKernels) Source(context.Context, kernel.Request) (func(string) ([]byte, error), func(), error) {
	return os.ReadFile, func() {}, nil
}
