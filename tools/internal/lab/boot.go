package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/outcome"
)

// Guest is a machine whose agent said hello.
type Guest struct {
	*guest.Client
	Hello   guest.Hello
	Console *machine.Log
	Machine *machine.Machine
	Accel   machine.Verdict
	Dir     string        // of the run's files
	Booted  time.Duration // wall time from QEMU's start to the hello

	cleanup []func()
	panics  *panicWatch
	close   sync.Once
}

// Boot boots a guest. The guest is killed when ctx is done; it must be closed.
func Boot(ctx context.Context, spec Spec) (_ *Guest, err error) {
	if _, err := os.Stat(spec.Kernel); err != nil {
		return nil, outcome.Errorf(outcome.Infra, "the kernel to boot: %w", err)
	}
	if spec.CPUs == 0 {
		spec.CPUs = 2
		if spec.Deterministic {
			spec.CPUs = 1
		}
	}
	g := &Guest{panics: &panicWatch{next: spec.OnLine}}
	defer func() {
		if err != nil {
			g.release()
		}
	}()
	p, err := g.prepare(ctx, spec)
	if err != nil {
		return nil, infra(err)
	}
	if err := g.start(ctx, spec, p); err != nil {
		return nil, err
	}
	g.cleanup = append(g.cleanup, func() { g.Client.Close(); g.Machine.Kill() })
	if err := g.setUp(ctx, spec, p); err != nil {
		return nil, g.Explain(fmt.Errorf("set up the guest: %w", err))
	}
	return g, nil
}

// start starts the machine and waits for the hello.
func (g *Guest) start(ctx context.Context, spec Spec, p *prepared) error {
	conn, port, err := machine.SocketPair()
	if err != nil {
		return infra(err)
	}
	began := time.Now()
	g.Machine, err = machine.Start(ctx, g.machineSpec(spec, p, port), machine.Options{
		Dir: g.Dir, LogTo: filepath.Join(g.Dir, "console.log"), OnLine: g.panics.line,
	})
	port.Close()
	if err != nil {
		conn.Close()
		return infra(err)
	}
	g.Console = g.Machine.Console
	line := machine.Binary(spec.Arch) + " " + strings.Join(quote(g.Machine.Args), " ") + "\n"
	_ = os.WriteFile(filepath.Join(g.Dir, "qemu.txt"), []byte(line), 0o644)

	wait, cancel := ctx, func() {}
	if timeout := spec.timeout(); timeout > 0 {
		wait, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	g.Client, g.Hello, err = guest.Accept(wait, conn)
	g.Booted = time.Since(began)
	if err == nil {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("the guest did not say hello within %s", spec.timeout())
	}
	err = g.bootFailure(ctx, err)
	g.Machine.Kill()
	return err
}

func (s Spec) timeout() time.Duration {
	switch {
	case s.Timeout != 0:
		return s.Timeout
	case s.GDB != nil:
		return 0
	}
	return DefaultTimeout
}

// bootFailure says why there was no hello.
func (g *Guest) bootFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// The channel ends a moment before QEMU does.
	select {
	case <-g.Machine.Done():
		if qerr := g.Machine.Err(); qerr != nil {
			if total, _ := g.Console.Bytes(); total == 0 {
				return infra(qerr)
			}
			err = qerr
		} else if why := g.panics.first(); why != "" {
			err = errors.New(why)
		} else {
			err = errors.New("the guest switched itself off before its agent said hello")
		}
	case <-time.After(exitWait):
	}
	return g.fail(outcome.BootFail, err)
}

// exitWait is how long QEMU may take to end after its guest's channel did.
const exitWait = 2 * time.Second

// setUp gives the guest what it was asked to have.
func (g *Guest) setUp(ctx context.Context, spec Spec, p *prepared) error {
	// A CPU that does not come up is a boot that failed, unless it was asked
	// for (nr_cpus=, maxcpus=).
	if g.Hello.CPUs != spec.CPUs && !strings.Contains(spec.Cmdline, "cpus=") {
		return g.fail(outcome.BootFail, fmt.Errorf("%d of %d CPUs came up", g.Hello.CPUs, spec.CPUs))
	}
	if spec.Heartbeat > 0 {
		if err := g.Heartbeat(spec.Heartbeat); err != nil {
			return err
		}
	}
	if p.root != nil {
		if err := g.Root(ctx, *p.root); err != nil {
			return err
		}
	}
	for _, m := range p.mounts {
		if err := g.Mount(ctx, m); err != nil {
			return err
		}
	}
	if spec.Network {
		return g.network(ctx)
	}
	return nil
}

// network sets up the card as QEMU's user-mode network expects it.
func (g *Guest) network(ctx context.Context) error {
	const script = `set -e
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
echo nameserver 10.0.2.3 >/etc/resolv.conf`
	var text strings.Builder
	code, err := g.Run(ctx, guest.Cmd{Argv: []string{"busybox", "sh", "-c", script}, Stdout: &text, Stderr: &text})
	if err == nil && code != 0 {
		err = fmt.Errorf("network: %s", strings.TrimSpace(text.String()))
	}
	return err
}

// offWait is how long a guest may take to switch itself off when asked.
const offWait = 5 * time.Second

// Close switches the guest off, or ends it if it does not obey, and removes
// what was temporary.
func (g *Guest) Close() error {
	g.close.Do(func() {
		if g.Client.Poweroff() == nil {
			select {
			case <-g.Machine.Done():
			case <-time.After(offWait):
			}
		}
		g.release()
	})
	return nil
}

// release undoes in reverse order.
func (g *Guest) release() {
	for i := len(g.cleanup) - 1; i >= 0; i-- {
		g.cleanup[i]()
	}
	g.cleanup = nil
}
