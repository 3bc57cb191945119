package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Client is the host's end: what can be asked of a guest that said hello.
// Its methods may be called concurrently.
type Client struct {
	conn *Conn

	hello chan Hello
	done  chan struct{} // closed when the channel ended
	err   error         // why; valid after done

	mu    sync.Mutex
	beat  time.Time     // when the guest was heard of last
	guest time.Duration // its CLOCK_BOOTTIME then
}

// Accept waits for the hello of the guest at the other end of rw, which the
// client owns from now on.
func Accept(ctx context.Context, rw io.ReadWriteCloser) (*Client, Hello, error) {
	c := &Client{conn: NewConn(rw), hello: make(chan Hello, 1), done: make(chan struct{}), beat: time.Now()}
	go func() {
		c.err = c.conn.Serve(clientHandler{c})
		close(c.done)
	}()
	select {
	case <-ctx.Done():
		_ = rw.Close()
		return nil, Hello{}, ctx.Err()
	case <-c.done:
		_ = rw.Close()
		// The hello may have come just before the end.
		select {
		case h := <-c.hello:
			return c, h, nil
		default:
		}
		if c.err != nil {
			return nil, Hello{}, fmt.Errorf("waiting for the guest's hello: %w", c.err)
		}
		return nil, Hello{}, fmt.Errorf("waiting for the guest's hello: %w", ErrGone)
	case h := <-c.hello:
		if h.Protocol != Protocol {
			_ = rw.Close()
			return nil, h, fmt.Errorf("the guest's agent speaks protocol %d, this kernlab %d: its initramfs is stale", h.Protocol, Protocol)
		}
		return c, h, nil
	}
}

// ErrGone is what everything returns after the guest's channel ended.
var ErrGone = errors.New("the guest is gone")

type clientHandler struct{ c *Client }

func (h clientHandler) Message(m Message) error {
	h.c.heard(m.Time)
	switch m.Type {
	case TypeHello:
		if m.Hello == nil {
			return errors.New("hello without content")
		}
		select {
		case h.c.hello <- *m.Hello:
		default:
			return errors.New("a second hello: the agent was started again")
		}
	case TypeHeartbeat:
	default:
		return fmt.Errorf("unexpected message %q", m.Type)
	}
	return nil
}

func (h clientHandler) Open(*Session, Message) error {
	return errors.New("a guest cannot open a session")
}

func (c *Client) heard(guest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beat, c.guest = time.Now(), max(c.guest, guest)
}

// Heard returns when a message of the guest came last, and the guest's
// CLOCK_BOOTTIME in it. With a heartbeat configured, a guest that is not heard
// of for several intervals is stuck.
func (c *Client) Heard() (at time.Time, guest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.beat, c.guest
}

// Done is closed when the guest's channel has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Heartbeat makes the guest send a sign of life every interval; 0 stops it.
func (c *Client) Heartbeat(interval time.Duration) error {
	return c.conn.Send(Message{Type: TypeConfigure, Configure: &Configure{Heartbeat: interval}})
}

// Poweroff asks the guest to sync and switch itself off. It does not wait.
func (c *Client) Poweroff() error { return c.conn.Send(Message{Type: TypePoweroff}) }

// Close drops the channel.
func (c *Client) Close() error { return c.conn.Close() }

// Put writes a file in the guest, with its permission bits and missing parent
// directories, from r.
func (c *Client) Put(ctx context.Context, path string, mode uint32, r io.Reader) error {
	return c.do(ctx, Message{Type: TypePut, File: &File{Path: path, Mode: mode}}, r, nil)
}

// Get copies a file of the guest to w.
func (c *Client) Get(ctx context.Context, path string, w io.Writer) error {
	return c.do(ctx, Message{Type: TypeGet, File: &File{Path: path}}, nil, w)
}

// Mount mounts a file system in the guest.
func (c *Client) Mount(ctx context.Context, m Mount) error {
	return c.do(ctx, Message{Type: TypeMount, Mount: &m}, nil, nil)
}

// Root makes a disk the root of everything started afterwards.
func (c *Client) Root(ctx context.Context, r Root) error {
	return c.do(ctx, Message{Type: TypeRoot, Root: &r}, nil, nil)
}

// do runs a session that has no process.
func (c *Client) do(ctx context.Context, m Message, r io.Reader, w io.Writer) error {
	s, err := c.open(m)
	if err != nil {
		return err
	}
	defer s.End()
	stop := context.AfterFunc(ctx, func() {
		_ = s.Send(Message{Type: TypeCancel})
		s.fail(ctx.Err())
	})
	defer stop()

	sent := make(chan error, 1)
	go func() {
		var err error
		if r != nil {
			_, err = io.Copy(s.Out(Stdin), r)
		}
		if err == nil {
			err = s.Out(Stdin).Close()
		} else {
			_ = s.Send(Message{Type: TypeCancel})
		}
		sent <- err
	}()
	if w == nil {
		w = io.Discard
	}
	_, taken := io.Copy(w, s.In(Stdout))
	if taken != nil {
		_ = s.Send(Message{Type: TypeCancel})
	}
	end, err := s.Next()
	c.heard(end.Time)
	what := describe(m)
	switch {
	case taken != nil && err == nil:
		return fmt.Errorf("%s: %w", what, taken)
	case err != nil:
		return c.gone(fmt.Errorf("%s: %w", what, err))
	case end.Exit == nil:
		return fmt.Errorf("%s: unexpected message %q", what, end.Type)
	}
	if r == nil {
		<-sent
	} else {
		select {
		case err := <-sent:
			if err != nil && !errors.Is(err, errEnded) {
				return fmt.Errorf("%s: %w", what, err)
			}
		default: // the guest did not want all of it, and says why
		}
	}
	if end.Exit.Error != "" {
		return fmt.Errorf("%s: in the guest: %s", what, end.Exit.Error)
	}
	return nil
}

func (c *Client) open(m Message) (*Session, error) {
	s, err := c.conn.open(m)
	if err != nil {
		return nil, c.gone(fmt.Errorf("%s: %w", describe(m), err))
	}
	return s, nil
}

// gone adds ErrGone to an error that is due to the channel's end.
func (c *Client) gone(err error) error {
	select {
	case <-c.done:
		return fmt.Errorf("%w: %w", ErrGone, err)
	default:
		return err
	}
}

func describe(m Message) string {
	switch {
	case m.Run != nil && len(m.Run.Argv) > 0:
		return "run " + m.Run.Argv[0]
	case m.File != nil:
		return m.Type + " " + m.File.Path
	case m.Mount != nil:
		return "mount " + m.Mount.Target
	case m.Root != nil:
		return "mount the root disk " + m.Root.Serial
	}
	return m.Type
}
