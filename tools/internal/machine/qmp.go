package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// qmp is a connection to QEMU's control socket, which speaks the QEMU Machine
// Protocol: JSON objects, one a line; replies carry the id of the request.
type qmp struct {
	rw    io.ReadWriteCloser
	ready chan struct{} // closed when commands may be sent

	wmu sync.Mutex // one request at a time
	enc *json.Encoder

	mu       sync.Mutex
	next     int
	pending  map[int]chan qmpMessage
	err      error
	shutdown string // reason of the SHUTDOWN event
}

type qmpMessage struct {
	ID     *int            `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
	Data  struct {
		Reason string `json:"reason"`
	} `json:"data"`
}

// newQMP starts the protocol on rw. It does not wait for QEMU.
func newQMP(rw io.ReadWriteCloser) *qmp {
	q := &qmp{rw: rw, ready: make(chan struct{}), enc: json.NewEncoder(rw), pending: map[int]chan qmpMessage{}}
	go q.read()
	go func() {
		_, _ = q.send("qmp_capabilities", nil) // if it fails, so does all else
		close(q.ready)
	}()
	return q
}

func (q *qmp) read() {
	dec := json.NewDecoder(q.rw)
	for {
		var m qmpMessage
		if err := dec.Decode(&m); err != nil {
			q.fail(err)
			return
		}
		q.mu.Lock()
		switch {
		case m.Event == "SHUTDOWN":
			q.shutdown = m.Data.Reason
		case m.ID != nil && q.pending[*m.ID] != nil:
			q.pending[*m.ID] <- m
			delete(q.pending, *m.ID)
		}
		q.mu.Unlock()
	}
}

func (q *qmp) fail(err error) {
	if err == io.EOF {
		err = errors.New("QEMU closed its control connection")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
	for _, ch := range q.pending {
		close(ch)
	}
	q.pending = map[int]chan qmpMessage{}
}

// execute runs a command and returns what it returned.
func (q *qmp) execute(command string, arguments any) (json.RawMessage, error) {
	<-q.ready
	return q.send(command, arguments)
}

func (q *qmp) send(command string, arguments any) (json.RawMessage, error) {
	q.mu.Lock()
	if q.err != nil {
		q.mu.Unlock()
		return nil, fmt.Errorf("qmp %s: %w", command, q.err)
	}
	q.next++
	id, ch := q.next, make(chan qmpMessage, 1)
	q.pending[id] = ch
	q.mu.Unlock()
	request := map[string]any{"execute": command, "id": id}
	if arguments != nil {
		request["arguments"] = arguments
	}
	q.wmu.Lock()
	err := q.enc.Encode(request)
	q.wmu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("qmp %s: %w", command, err)
	}
	m, ok := <-ch
	switch {
	case !ok:
		return nil, fmt.Errorf("qmp %s: %w", command, q.err)
	case m.Error != nil:
		return nil, fmt.Errorf("qmp %s: %s", command, m.Error.Desc)
	}
	return m.Return, nil
}

// reason returns why the machine stopped, "" while it runs.
func (q *qmp) reason() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shutdown
}
