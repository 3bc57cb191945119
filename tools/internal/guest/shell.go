package guest

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"
)

// ErrLeft is what Shell returns when the user left with the escape.
var ErrLeft = errors.New("you left the guest")

// EscapeHelp says how to leave a guest that does not answer.
const EscapeHelp = "to leave a guest that does not answer: Enter ~ ."

// Shell runs a command on the terminal tty, which is raw meanwhile, so that
// every key, Ctrl-C too, is the guest's; only "~." at the start of a line is
// ours, and ends the wait. The size follows the terminal's.
func (c *Client) Shell(ctx context.Context, cmd Cmd, tty *os.File) (exit int, err error) {
	fd := int(tty.Fd())
	cmd.TTY = true
	cmd.Size = terminalSize(fd)
	if t := os.Getenv("TERM"); t != "" {
		cmd.Env = append([]string{"TERM=" + t}, cmd.Env...)
	}
	left := make(chan struct{})
	cmd.Stdin = &escapeReader{r: tty, quit: sync.OnceFunc(func() { close(left) }), start: true}
	cmd.Stdout = tty

	old, err := term.MakeRaw(fd)
	if err != nil {
		return -1, err
	}
	defer term.Restore(fd, old)
	p, err := c.Start(cmd)
	if err != nil {
		return -1, err
	}
	winch := make(chan os.Signal, 1)
	signal.Notify(winch, syscall.SIGWINCH)
	defer signal.Stop(winch)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-winch:
				_ = p.Resize(terminalSize(fd))
			case <-left:
				// The guest may be past answering: it is not asked.
				p.s.fail(ErrLeft)
				return
			case <-ended:
				return
			}
		}
	}()
	status, err := p.Wait(ctx)
	if err != nil {
		return -1, err
	}
	if status.Signal != 0 {
		return 128 + status.Signal, nil
	}
	return status.Code, nil
}

func terminalSize(fd int) Size {
	cols, rows, err := term.GetSize(fd)
	if err != nil {
		return Size{Rows: 24, Cols: 80}
	}
	return Size{Rows: uint16(rows), Cols: uint16(cols)}
}

// escapeReader passes a terminal's bytes on and looks for "~." at the start of
// a line; "~~" there stands for one "~".
type escapeReader struct {
	r     io.Reader
	quit  func()
	start bool // at the start of a line
	tilde bool // a "~" is held back
	rest  []byte
}

func (e *escapeReader) Read(p []byte) (int, error) {
	for {
		if len(e.rest) > 0 {
			n := copy(p, e.rest)
			e.rest = e.rest[n:]
			return n, nil
		}
		var buf [1024]byte
		n, err := e.r.Read(buf[:])
		for _, b := range buf[:n] {
			if !e.filter(b) {
				e.quit()
				return 0, io.EOF
			}
		}
		if n == 0 || err != nil {
			return 0, err
		}
	}
}

// filter takes one byte; it returns false for the escape.
func (e *escapeReader) filter(b byte) bool {
	if e.tilde {
		e.tilde = false
		switch b {
		case '.':
			return false
		case '~':
		default:
			e.rest = append(e.rest, '~')
		}
	} else if e.start && b == '~' {
		e.tilde, e.start = true, false
		return true
	}
	e.start = b == '\r' || b == '\n'
	e.rest = append(e.rest, b)
	return true
}
