package guest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// randomFrame returns a frame that may be sent.
func randomFrame(r *rand.Rand) Frame {
	f := Frame{Session: r.Uint32(), Stream: uint8(r.IntN(int(streams))), Payload: make([]byte, r.IntN(1<<r.IntN(13)))}
	if f.Stream != Control && f.Session == 0 {
		f.Session = 1
	}
	for i := range f.Payload {
		f.Payload[i] = byte(r.Uint32())
	}
	return f
}

func TestFramesSurviveTheWire(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var wire bytes.Buffer
	var sent []Frame
	for range 100 {
		f := randomFrame(r)
		sent = append(sent, f)
		if err := WriteFrame(&wire, f); err != nil {
			t.Fatal(err)
		}
	}
	in := oneByteReader{&wire}
	for i, want := range sent {
		got, err := ReadFrame(in)
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("frame %d (-sent +received):\n%s", i, diff)
		}
	}
	if _, err := ReadFrame(in); err != io.EOF {
		t.Fatalf("at the end: %v, want EOF", err)
	}
}

// oneByteReader returns as little at a time as a reader may.
type oneByteReader struct{ r io.Reader }

func (o oneByteReader) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func TestReadFrameRejects(t *testing.T) {
	tests := []struct {
		name, wire, want string
	}{
		{"too long", "\x00\x04\x00\x01\x00\x00\x00\x01\x01", "262145 bytes"},
		{"huge", "\xff\xff\xff\xff\x00\x00\x00\x01\x01", "4294967295 bytes"},
		{"no such stream", "\x00\x00\x00\x00\x00\x00\x00\x01\x04", "stream 4"},
		{"data of no session", "\x00\x00\x00\x00\x00\x00\x00\x00\x01", "outside a session"},
		{"cut in the header", "\x00\x00", "unexpected EOF"},
		{"cut in the payload", "\x00\x00\x00\x05\x00\x00\x00\x01\x01abc", "unexpected EOF"},
		{"no payload", "\x00\x00\x00\x05\x00\x00\x00\x01\x01", "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadFrame(strings.NewReader(tt.wire))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestWriteFrameRejects(t *testing.T) {
	for name, f := range map[string]Frame{
		"too long":       {Session: 1, Stream: Stdin, Payload: make([]byte, MaxPayload+1)},
		"no such stream": {Session: 1, Stream: streams},
	} {
		if err := WriteFrame(io.Discard, f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzReadFrame: whatever comes, ReadFrame ends without holding more than a
// frame may, and what it accepts is what WriteFrame would have sent.
func FuzzReadFrame(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 8 {
		var b bytes.Buffer
		_ = WriteFrame(&b, randomFrame(r))
		f.Add(b.Bytes())
	}
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x01\x01"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		in := bytes.NewReader(wire)
		var again bytes.Buffer
		for {
			frame, err := ReadFrame(in)
			if err != nil {
				if len(frame.Payload) > 0 {
					t.Fatal("a payload beside an error")
				}
				break
			}
			if len(frame.Payload) > MaxPayload {
				t.Fatalf("a payload of %d bytes", len(frame.Payload))
			}
			if err := WriteFrame(&again, frame); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(wire, again.Bytes()) {
			t.Fatal("what was read is not what was there")
		}
	})
}

// FuzzConn: a peer that says anything at all cannot crash or block this end.
func FuzzConn(f *testing.F) {
	f.Add([]byte(`{"type":"run","run":{"argv":["true"]}}`), uint32(1), uint8(0))
	f.Add([]byte(`{"type":"window","stream":1,"bytes":-5}`), uint32(1), uint8(0))
	f.Add([]byte("data"), uint32(1), uint8(1))
	f.Fuzz(func(t *testing.T, payload []byte, session uint32, stream uint8) {
		var wire bytes.Buffer
		_ = WriteFrame(&wire, Frame{Session: 1, Payload: []byte(`{"type":"get","file":{"path":"/x"}}`)})
		for range 3 {
			if WriteFrame(&wire, Frame{Session: session, Stream: stream, Payload: payload}) != nil {
				return
			}
		}
		c := NewConn(struct {
			io.Reader
			io.WriteCloser
		}{&wire, discard{}})
		_ = c.Serve(anyHandler{})
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

type anyHandler struct{}

func (anyHandler) Message(Message) error        { return nil }
func (anyHandler) Open(*Session, Message) error { return nil }

func TestWindowsBindBothEnds(t *testing.T) {
	// A sender stops when the window is used up, and no sooner.
	sent := 0
	out := newOutbox(func(p []byte) error { sent += len(p); return nil })
	done := make(chan error)
	go func() {
		_, err := out.Write(make([]byte, Window+10))
		done <- err
	}()
	waitFor(t, func() bool { out.mu.Lock(); defer out.mu.Unlock(); return out.credit == 0 })
	if err := out.give(10); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || sent != Window+10 {
		t.Fatalf("sent %d bytes, %v", sent, err)
	}
	if err := out.give(Window + 1); err == nil {
		t.Error("more window was accepted than there is")
	}
	// A receiver does not take more than it gave.
	in := newInbox(func(int) {})
	if err := in.push(make([]byte, Window)); err != nil {
		t.Fatal(err)
	}
	if err := in.push([]byte{1}); err == nil {
		t.Error("a byte beyond the window was accepted")
	}
	// What was received before an error is still read.
	in.fail(errors.New("broken"))
	if n, err := io.Copy(io.Discard, in); n != Window || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestEscape(t *testing.T) {
	tests := []struct {
		in, out string
		quit    bool
	}{
		{"ls\r", "ls\r", false},
		{"~.", "", true},
		{"a~.b", "a~.b", false},
		{"ls\r~.rest", "ls\r", true},
		{"ls\r~~.\r", "ls\r~.\r", false},
		{"~x", "~x", false},
		{"cd ~/x\r~/y", "cd ~/x\r~/y", false},
	}
	for _, tt := range tests {
		quit := false
		out, _ := io.ReadAll(&escapeReader{r: oneByteReader{strings.NewReader(tt.in)}, quit: func() { quit = true }, start: true})
		if string(out) != tt.out || quit != tt.quit {
			t.Errorf("%q: passed on %q, quit %v; want %q, %v", tt.in, out, quit, tt.out, tt.quit)
		}
	}
}
