package guest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxSessions bounds the sessions open at a time.
const maxSessions = 1024

// Conn is one end of the wire. Both ends use it: the host opens sessions, the
// agent is given them by its handler.
type Conn struct {
	rw io.ReadWriteCloser

	wmu sync.Mutex // one frame at a time

	mu       sync.Mutex
	sessions map[uint32]*Session
	last     uint32 // session number given last
	err      error  // why the connection ended
}

// NewConn returns an end of the wire over rw. Nothing is read until Serve.
func NewConn(rw io.ReadWriteCloser) *Conn {
	return &Conn{rw: rw, sessions: map[uint32]*Session{}}
}

// Handler is what a Conn tells its owner; it is called by the reading
// goroutine and must not block.
type Handler interface {
	// Message is a message of session 0.
	Message(m Message) error
	// Open is a message that opens a session.
	Open(s *Session, m Message) error
}

// Serve reads frames until the channel ends or breaks, and returns why; nil
// when the peer ended it between frames. Every session is failed then.
func (c *Conn) Serve(h Handler) error {
	err := c.serve(h)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	broken := err
	if broken == nil {
		broken = errors.New("the guest's channel was closed")
	}
	c.mu.Lock()
	c.err = broken
	open := c.sessions
	c.sessions = map[uint32]*Session{}
	c.mu.Unlock()
	for _, s := range open {
		s.fail(broken)
	}
	return err
}

func (c *Conn) serve(h Handler) error {
	r := bufio.NewReaderSize(c.rw, 64<<10)
	for {
		f, err := ReadFrame(r)
		if err != nil {
			return err
		}
		if err := c.dispatch(h, f); err != nil {
			return fmt.Errorf("session %d, stream %d: %w", f.Session, f.Stream, err)
		}
	}
}

func (c *Conn) dispatch(h Handler, f Frame) error {
	c.mu.Lock()
	s := c.sessions[f.Session]
	c.mu.Unlock()
	if f.Stream != Control {
		if s == nil {
			return nil // it ended while this was on the way
		}
		return s.in[f.Stream].push(f.Payload)
	}
	var m Message
	if err := json.Unmarshal(f.Payload, &m); err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	switch {
	case f.Session == 0:
		return h.Message(m)
	case s != nil:
		return s.message(m)
	case opens(m.Type):
		s, err := c.add(f.Session)
		if err != nil {
			return err
		}
		return h.Open(s, m)
	}
	return nil // of a session that ended while this was on the way
}

func opens(typ string) bool {
	switch typ {
	case TypeRun, TypePut, TypeGet, TypeMount, TypeRoot:
		return true
	}
	return false
}

func (c *Conn) add(id uint32) (*Session, error) {
	s := newSession(c, id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	if id <= c.last {
		return nil, fmt.Errorf("session number %d was used before", id)
	}
	c.last = id
	if len(c.sessions) >= maxSessions {
		return nil, fmt.Errorf("more than %d sessions at a time", maxSessions)
	}
	c.sessions[id] = s
	return s, nil
}

// Send sends a message of session 0.
func (c *Conn) Send(m Message) error { return c.send(0, m) }

func (c *Conn) send(session uint32, m Message) error {
	p, err := encode(m)
	if err != nil {
		return err
	}
	return c.write(Frame{Session: session, Stream: Control, Payload: p})
}

func encode(m Message) ([]byte, error) {
	p, err := json.Marshal(m)
	if err == nil && len(p) > MaxPayload {
		err = fmt.Errorf("a %s message of %d bytes: at most %d fit", m.Type, len(p), MaxPayload)
	}
	return p, err
}

func (c *Conn) write(f Frame) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return WriteFrame(c.rw, f)
}

// open starts a session, which m opens.
func (c *Conn) open(m Message) (*Session, error) {
	p, err := encode(m)
	if err != nil {
		return nil, err
	}
	// Numbers are sent in the order they are given.
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.mu.Lock()
	id := c.last + 1
	c.mu.Unlock()
	s, err := c.add(id)
	if err != nil {
		return nil, err
	}
	if err := WriteFrame(c.rw, Frame{Session: id, Stream: Control, Payload: p}); err != nil {
		s.End()
		return nil, err
	}
	return s, nil
}

// Close closes the channel.
func (c *Conn) Close() error { return c.rw.Close() }

// Session is one thing the host asked for, on either end.
type Session struct {
	c   *Conn
	id  uint32
	in  [streams]*inbox
	out [streams]*outbox

	// messages queues what the peer says in the session, but for window.
	mu       sync.Mutex
	cond     sync.Cond
	messages []Message
	err      error
}

func newSession(c *Conn, id uint32) *Session {
	s := &Session{c: c, id: id}
	s.cond.L = &s.mu
	for n := Stdin; n < streams; n++ {
		s.in[n] = newInbox(func(bytes int) {
			_ = c.send(id, Message{Type: TypeWindow, Stream: n, Bytes: bytes})
		})
		s.out[n] = newOutbox(func(p []byte) error {
			return c.write(Frame{Session: id, Stream: n, Payload: p})
		})
	}
	return s
}

// In returns the reading end of a stream that the peer sends.
func (s *Session) In(stream uint8) io.Reader { return s.in[stream] }

// Out returns the writing end of a stream that goes to the peer.
func (s *Session) Out(stream uint8) io.WriteCloser { return s.out[stream] }

// Drop gives up a stream that the peer sends: nothing more will be read.
func (s *Session) Drop(stream uint8) { s.in[stream].fail(io.ErrClosedPipe) }

// Send sends a message of this session.
func (s *Session) Send(m Message) error { return s.c.send(s.id, m) }

// maxQueued bounds the messages of a session that wait to be read.
const maxQueued = 4096

func (s *Session) message(m Message) error {
	if m.Type == TypeWindow {
		if m.Stream == Control || m.Stream >= streams {
			return fmt.Errorf("window message for stream %d", m.Stream)
		}
		return s.out[m.Stream].give(m.Bytes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.messages) >= maxQueued {
		return fmt.Errorf("more than %d messages wait to be read", maxQueued)
	}
	s.messages = append(s.messages, m)
	s.cond.Broadcast()
	return nil
}

// Next waits for the peer's next message.
func (s *Session) Next() (Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.messages) == 0 && s.err == nil {
		s.cond.Wait()
	}
	if len(s.messages) == 0 {
		return Message{}, s.err
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return m, nil
}

// errEnded is what the streams of an ended session return.
var errEnded = errors.New("the session has ended")

// End forgets the session; frames of it that are still on the way are dropped.
func (s *Session) End() {
	s.c.mu.Lock()
	delete(s.c.sessions, s.id)
	s.c.mu.Unlock()
	s.fail(errEnded)
}

// Abort breaks the session's streams and messages with err; it stays open for
// its last message to be sent.
func (s *Session) Abort(err error) { s.fail(err) }

func (s *Session) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.cond.Broadcast()
	s.mu.Unlock()
	for n := Stdin; n < streams; n++ {
		s.in[n].fail(err)
		s.out[n].fail(err)
	}
}
