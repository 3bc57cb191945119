package run

import (
	"context"
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
	// Prod makes a guest that does not answer say where it is, if the machine
	// has a way to.
	Prod()
	Kill()
	Close() error
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

type labGuest struct{ *lab.Guest }

// Prod sends every CPU a non-maskable interrupt. With unknown_nmi_panic the
// x86 kernel answers with the CPUs' call traces; machines without NMIs refuse.
func (g labGuest) Prod() { _, _ = g.Machine.Execute("inject-nmi", nil) }

// Kill ends the machine at once.
func (g labGuest) Kill() { g.Machine.Kill() }
