package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/lab"
)

// Guest is a booted guest, as far as running cases needs one.
type Guest interface {
	Start(cmd guest.Cmd) (*guest.Process, error)
	Heard() (at time.Time, guestTime time.Duration)
	Done() <-chan struct{}
	// Explain turns an error of the guest's channel into what happened to it.
	Explain(err error) error
	Kill()
	Close() error

	// Loud makes the kernel print everything on its console from now on.
	Loud(ctx context.Context)
	// Mark writes into the kernel's log what begins now.
	Mark(ctx context.Context, text string)
	// Stacks makes a guest that still answers print what blocks and what its
	// CPUs do.
	Stacks(ctx context.Context)
	// Monitor tells QEMU's monitor a command, and returns what it answers:
	// nothing, mostly, if it does as it was told.
	Monitor(command string) (answer string, err error)
	// Prod makes a guest that does not answer do the same, and reports whether
	// its machine has a way to.
	Prod() bool
}

// BootFunc boots a guest.
type BootFunc func(ctx context.Context, spec lab.Spec) (Guest, error)

// Boot boots a guest in QEMU.
func Boot(ctx context.Context, spec lab.Spec) (Guest, error) {
	g, err := lab.Boot(ctx, spec)
	if err != nil {
		return nil, err
	}
	return labGuest{g}, nil
}

// labGuest is a guest that runs Linux.
type labGuest struct{ *lab.Guest }

// small runs a shell line that takes no time, for what is nice to have.
func (g labGuest) small(ctx context.Context, script string, args ...string) {
	ctx, cancel := context.WithTimeout(ctx, dying)
	defer cancel()
	p, err := g.Start(guest.Cmd{Argv: append([]string{"sh", "-c", script}, args...)})
	if err == nil {
		_, _ = p.Wait(ctx)
	}
}

// Loud: while it boots the kernel is quiet, since most of that is said each
// time and a serial port is slow.
func (g labGuest) Loud(ctx context.Context) { g.small(ctx, "echo 7 >/proc/sys/kernel/printk") }

func (g labGuest) Mark(ctx context.Context, text string) {
	g.small(ctx, `echo "<6>$0" >/dev/kmsg`, markPrefix+text)
}

func (g labGuest) Stacks(ctx context.Context) {
	g.small(ctx, "for c in w l; do echo $c >/proc/sysrq-trigger; done")
}

func (g labGuest) Monitor(command string) (string, error) {
	reply, err := g.Machine.Execute("human-monitor-command", map[string]string{"command-line": command})
	if err != nil {
		return "", err
	}
	var answer string
	if err := json.Unmarshal(reply, &answer); err != nil {
		return "", fmt.Errorf("the monitor's answer to %q: %w", command, err)
	}
	return strings.TrimSpace(answer), nil
}

// Prod sends every CPU a non-maskable interrupt. With unknown_nmi_panic the
// x86 kernel answers with the CPUs' call traces; machines without NMIs refuse.
func (g labGuest) Prod() bool {
	_, err := g.Machine.Execute("inject-nmi", nil)
	return err == nil
}

// Kill ends the machine at once.
func (g labGuest) Kill() { g.Machine.Kill() }
