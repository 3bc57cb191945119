package agent

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/guest"
)

// stdio is how a command's streams are connected.
type stdio interface {
	// child returns descriptors 0, 1, 2 of the command. Fd makes them
	// blocking, which a command's should be.
	child() []uintptr
	closeChild()
	closeAll()
	// pump starts copying between the command and the session; the channel is
	// closed when all output was sent.
	pump(s *guest.Session) <-chan struct{}
	// detach ends what pump started; output of what the command left behind
	// is discarded.
	detach(s *guest.Session)
	resize(guest.Size)
}

// pipes are three pipes: [0] is read, [1] written.
type pipes struct {
	in, out, err [2]*os.File
}

func newPipes() (_ stdio, err error) {
	p := &pipes{}
	defer func() {
		if err != nil {
			p.closeAll()
		}
	}()
	for _, pp := range []*[2]*os.File{&p.in, &p.out, &p.err} {
		if pp[0], pp[1], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *pipes) child() []uintptr {
	return []uintptr{p.in[0].Fd(), p.out[1].Fd(), p.err[1].Fd()}
}

func (p *pipes) closeChild() {
	for _, f := range []*os.File{p.in[0], p.out[1], p.err[1]} {
		_ = f.Close()
	}
}

func (p *pipes) closeAll() {
	for _, pp := range [][2]*os.File{p.in, p.out, p.err} {
		for _, f := range pp {
			if f != nil {
				_ = f.Close()
			}
		}
	}
}

func (p *pipes) pump(s *guest.Session) <-chan struct{} {
	go func() {
		_, _ = io.Copy(p.in[1], s.In(guest.Stdin))
		_ = p.in[1].Close()
		s.Drop(guest.Stdin)
	}()
	var wg sync.WaitGroup
	for stream, f := range map[uint8]*os.File{guest.Stdout: p.out[0], guest.Stderr: p.err[0]} {
		wg.Add(1)
		go func() {
			_, _ = io.Copy(s.Out(stream), f)
			_ = s.Out(stream).Close()
			wg.Done()
			_, _ = io.Copy(io.Discard, f)
			_ = f.Close()
		}()
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	return done
}

func (p *pipes) detach(s *guest.Session) { s.Drop(guest.Stdin) }
func (p *pipes) resize(guest.Size)       {}

// terminal is a pseudo terminal.
type terminal struct{ master, slave *os.File }

func newTTY(size *guest.Size, uid uint32) (stdio, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	t := &terminal{master, slave}
	if size != nil {
		t.resize(*size)
	}
	if uid != 0 {
		_ = slave.Chown(int(uid), -1)
	}
	return t, nil
}

func (t *terminal) child() []uintptr {
	fd := t.slave.Fd()
	return []uintptr{fd, fd, fd}
}

func (t *terminal) closeChild() { _ = t.slave.Close() }
func (t *terminal) closeAll()   { _ = t.slave.Close(); _ = t.master.Close() }

func (t *terminal) pump(s *guest.Session) <-chan struct{} {
	go func() {
		// The end of the input is not the terminal's: as in ssh, the command
		// is told with the end-of-file character.
		if _, err := io.Copy(t.master, s.In(guest.Stdin)); err == nil {
			_, _ = t.master.Write([]byte{4})
		}
		s.Drop(guest.Stdin)
	}()
	_ = s.Out(guest.Stderr).Close()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(s.Out(guest.Stdout), t.master) // ends with EIO when nobody has the slave open
		_ = s.Out(guest.Stdout).Close()
		close(done)
		_, _ = io.Copy(io.Discard, t.master)
		_ = t.master.Close()
	}()
	return done
}

func (t *terminal) detach(s *guest.Session) { s.Drop(guest.Stdin) }

func (t *terminal) resize(size guest.Size) {
	// Not pty.Setsize, which must not race with Close.
	raw, err := t.master.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
	})
}
