package guest

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// inbox is the receiving end of one stream: a buffer that the connection's
// reader fills, never waiting, and a consumer empties.
type inbox struct {
	mu    sync.Mutex
	cond  sync.Cond
	buf   bytes.Buffer // holds at most Window bytes
	owed  int          // consumed, and not handed back to the sender yet
	err   error        // io.EOF at the stream's end; why, if the session broke
	grant func(n int)  // hands n bytes of window back
}

func newInbox(grant func(int)) *inbox {
	b := &inbox{grant: grant}
	b.cond.L = &b.mu
	return b
}

// push takes the payload of a frame; an empty one is the end of the stream.
func (b *inbox) push(p []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return nil // the stream was given up; what was on the way is dropped
	case len(p) == 0:
		b.err = io.EOF
	case b.buf.Len()+b.owed+len(p) > Window:
		return fmt.Errorf("%d bytes beyond the window of %d", b.buf.Len()+b.owed+len(p)-Window, Window)
	default:
		b.buf.Write(p)
	}
	b.cond.Broadcast()
	return nil
}

// Read waits for bytes. What it returns counts as consumed.
func (b *inbox) Read(p []byte) (int, error) {
	b.mu.Lock()
	for b.buf.Len() == 0 && b.err == nil {
		b.cond.Wait()
	}
	if b.buf.Len() == 0 {
		err := b.err
		b.mu.Unlock()
		return 0, err
	}
	n, _ := b.buf.Read(p)
	b.owed += n
	give := 0
	if b.owed >= Window/4 && b.err == nil {
		give, b.owed = b.owed, 0
	}
	b.mu.Unlock()
	if give > 0 {
		b.grant(give)
	}
	return n, nil
}

// fail ends the stream with err after what has been received.
func (b *inbox) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.cond.Broadcast()
}

// outbox is the sending end of one stream.
type outbox struct {
	mu     sync.Mutex
	cond   sync.Cond
	credit int
	closed bool // the end was sent
	err    error
	send   func(p []byte) error
}

func newOutbox(send func([]byte) error) *outbox {
	b := &outbox{credit: Window, send: send}
	b.cond.L = &b.mu
	return b
}

// Write sends p, waiting for window as it must.
func (b *outbox) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := b.take(min(len(p)-done, chunk))
		if err != nil {
			return done, err
		}
		if err := b.send(p[done : done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// take waits for window and takes up to n bytes of it.
func (b *outbox) take(n int) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.credit == 0 && b.err == nil {
		b.cond.Wait()
	}
	if b.err != nil {
		return 0, b.err
	}
	n = min(n, b.credit)
	b.credit -= n
	return n, nil
}

// Close ends the stream. The peer is told even of a stream that broke, for it
// waits for the end.
func (b *outbox) Close() error {
	b.mu.Lock()
	closed := b.closed
	b.closed = true
	if b.err == nil {
		b.err = io.ErrClosedPipe
	}
	b.cond.Broadcast()
	b.mu.Unlock()
	if closed {
		return nil
	}
	return b.send(nil)
}

// give adds window. A peer cannot hand back more than there is.
func (b *outbox) give(n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n < 0 || n > Window-b.credit {
		return fmt.Errorf("window message of %d bytes when %d are on the way", n, Window-b.credit)
	}
	b.credit += n
	b.cond.Broadcast()
	return nil
}

func (b *outbox) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.cond.Broadcast()
}
