package guest

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	// PortName is the name of the virtio-serial port.
	PortName = "cloudkernel.agent.0"

	// MaxPayload bounds a frame, and so what a peer can make us hold: a run
	// message with its arguments and environment is the largest thing sent.
	MaxPayload = 256 << 10

	headerSize = 9

	// chunk is how many bytes of data go in one frame: with its header it
	// fills one buffer of the guest kernel's virtio-serial driver (32 KiB).
	chunk = 32<<10 - headerSize

	// Window is how many bytes of a stream may be on the way.
	Window = 256 << 10
)

// Stream numbers.
const (
	Control uint8 = iota
	Stdin
	Stdout
	Stderr

	streams
)

// Frame is one unit of the wire; see the package's documentation.
type Frame struct {
	Session uint32
	Stream  uint8
	Payload []byte
}

// WriteFrame writes f with one call of w.Write.
func WriteFrame(w io.Writer, f Frame) error {
	if len(f.Payload) > MaxPayload {
		return fmt.Errorf("frame of %d bytes: at most %d fit", len(f.Payload), MaxPayload)
	}
	if f.Stream >= streams {
		return fmt.Errorf("frame of stream %d: there are %d", f.Stream, streams)
	}
	buf := make([]byte, headerSize, headerSize+len(f.Payload))
	binary.BigEndian.PutUint32(buf[0:], uint32(len(f.Payload)))
	binary.BigEndian.PutUint32(buf[4:], f.Session)
	buf[8] = f.Stream
	_, err := w.Write(append(buf, f.Payload...))
	return err
}

// ReadFrame reads one frame. It returns io.EOF at the end between frames and
// io.ErrUnexpectedEOF within one. The payload is the caller's to keep.
func ReadFrame(r io.Reader) (Frame, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Frame{}, err
	}
	n := binary.BigEndian.Uint32(head[0:])
	f := Frame{Session: binary.BigEndian.Uint32(head[4:]), Stream: head[8]}
	switch {
	case n > MaxPayload:
		return Frame{}, fmt.Errorf("frame of %d bytes: at most %d are allowed", n, MaxPayload)
	case f.Stream >= streams:
		return Frame{}, fmt.Errorf("frame of stream %d: there are %d", f.Stream, streams)
	case f.Stream != Control && f.Session == 0:
		return Frame{}, fmt.Errorf("data of stream %d outside a session", f.Stream)
	}
	f.Payload = make([]byte, n)
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return f, nil
}
