package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"
)

// Cmd is a command to run in the guest.
type Cmd struct {
	Argv     []string
	Env      []string // "NAME=value", added to the agent's
	Dir      string
	UID, GID uint32
	TTY      bool // give it a terminal of Size; stdout and stderr are one then
	Size     Size

	// Stdin is read until its end, or the command's; nil is empty. Stdout and
	// Stderr may be the same writer, which is then written by one at a time;
	// nil discards.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Run runs a command and waits for it and its output. exit is what a shell
// would say: its code, or 128 plus the signal that killed it. err says that it
// could not be started, or that the guest went away. When ctx is done the
// command's processes are killed, and err is ctx's.
func (c *Client) Run(ctx context.Context, cmd Cmd) (exit int, err error) {
	p, err := c.Start(cmd)
	if err != nil {
		return -1, err
	}
	status, err := p.Wait(ctx)
	if err != nil {
		return -1, err
	}
	if status.Signal != 0 {
		return 128 + status.Signal, nil
	}
	return status.Code, nil
}

// Process is a command that was started.
type Process struct {
	c    *Client
	s    *Session
	name string

	out sync.WaitGroup // copies of stdout and stderr
	mu  sync.Mutex
	err error // of a writer
}

// Status is how a process ended.
type Status struct {
	Code   int           // exit code, if Signal is 0
	Signal int           // that killed it
	Ran    time.Duration // in guest time, to the ns
}

// Start starts a command. The caller must Wait.
func (c *Client) Start(cmd Cmd) (*Process, error) {
	if len(cmd.Argv) == 0 {
		return nil, errors.New("run: no command")
	}
	req := &Command{Argv: cmd.Argv, Env: cmd.Env, Dir: cmd.Dir, UID: cmd.UID, GID: cmd.GID, TTY: cmd.TTY}
	if cmd.TTY {
		req.Size = &cmd.Size
	}
	s, err := c.open(Message{Type: TypeRun, Run: req})
	if err != nil {
		return nil, err
	}
	p := &Process{c: c, s: s, name: cmd.Argv[0]}
	go func() {
		if cmd.Stdin != nil {
			_, _ = io.Copy(s.Out(Stdin), cmd.Stdin) // a command may end without reading it all
		}
		_ = s.Out(Stdin).Close()
	}()
	var wmu sync.Mutex
	p.copy(Stdout, cmd.Stdout, &wmu)
	p.copy(Stderr, cmd.Stderr, &wmu)
	return p, nil
}

func (p *Process) copy(stream uint8, w io.Writer, mu *sync.Mutex) {
	if w == nil {
		w = io.Discard
	}
	p.out.Add(1)
	go func() {
		defer p.out.Done()
		_, err := io.Copy(lockedWriter{w, mu}, p.s.In(stream))
		if err == nil {
			return
		}
		p.mu.Lock()
		if p.err == nil {
			p.err = err
		}
		p.mu.Unlock()
		// Nobody takes the output any more: as in a pipe, that ends the command.
		_ = p.Signal(syscall.SIGPIPE)
		_, _ = io.Copy(io.Discard, p.s.In(stream))
	}()
}

type lockedWriter struct {
	w  io.Writer
	mu *sync.Mutex
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// Signal sends sig to the process and everything in its session.
func (p *Process) Signal(sig syscall.Signal) error {
	return p.s.Send(Message{Type: TypeSignal, Signal: int(sig)})
}

// Resize tells the process's terminal its new size.
func (p *Process) Resize(size Size) error {
	return p.s.Send(Message{Type: TypeResize, Size: &size})
}

// killWait is how long a killed command may take to say so before it is given up.
const killWait = 5 * time.Second

// Wait waits for the process's end and for its output. When ctx is done first,
// the process is killed.
func (p *Process) Wait(ctx context.Context) (Status, error) {
	defer p.s.End()
	stop := context.AfterFunc(ctx, func() {
		_ = p.Signal(syscall.SIGKILL)
		time.AfterFunc(killWait, func() { p.s.fail(ctx.Err()) })
	})
	defer stop()
	var started time.Duration
	for {
		m, err := p.s.Next()
		if err != nil {
			p.out.Wait()
			if ctx.Err() != nil {
				return Status{}, ctx.Err()
			}
			return Status{}, p.c.gone(fmt.Errorf("run %s: %w", p.name, err))
		}
		p.c.heard(m.Time)
		switch {
		case m.Type == TypeStarted:
			started = m.Time
		case m.Exit == nil:
			return Status{}, fmt.Errorf("run %s: unexpected message %q", p.name, m.Type)
		case m.Exit.Error != "":
			return Status{}, fmt.Errorf("run %s: in the guest: %s", p.name, m.Exit.Error)
		default:
			p.out.Wait()
			if err := ctx.Err(); err != nil {
				return Status{}, err
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.err != nil {
				return Status{}, fmt.Errorf("output of %s: %w", p.name, p.err)
			}
			return Status{Code: m.Exit.Code, Signal: m.Exit.Signal, Ran: m.Time - started}, nil
		}
	}
}
