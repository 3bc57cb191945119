package run

import (
	"sync"
	"time"

	"cloudkernel/tools/internal/splat"
)

const (
	// beat is how often a guest's agent gives a sign of life.
	beat = time.Second

	// silence is after how long without one a guest counts as hung. An
	// emulated guest on a busy machine may not be scheduled for seconds.
	silence = 30 * time.Second

	// dying is how long a kernel that panicked may take to print its last
	// words and reset the machine.
	dying = 5 * time.Second

	keptLines = 40      // of the console, in a report
	keptText  = 1 << 20 // bytes of the console that a case's console match sees, from each end
)

// console reads what a guest prints.
type console struct {
	tell func(line string) // each line, for the live window

	mu      sync.Mutex
	det     splat.Detector
	last    []string // the last keptLines
	text    ends
	died    chan struct{} // closed when the kernel said it is dying
	isDying bool
}

func newConsole(tell func(string)) *console {
	return &console{tell: tell, died: make(chan struct{}), text: ends{max: keptText}}
}

// line takes one line. It is called by one goroutine at a time.
func (c *console) line(s string) {
	c.mu.Lock()
	c.det.Line(s)
	if len(c.last) == keptLines {
		copy(c.last, c.last[1:])
		c.last = c.last[:keptLines-1]
	}
	c.last = append(c.last, s)
	c.text.write(s + "\n")
	if c.det.Fatal() && !c.isDying {
		c.isDying = true
		close(c.died)
	}
	c.mu.Unlock()
	if c.tell != nil {
		c.tell(s)
	}
}

// cut ends the part of the console that belongs to one unit, and returns what
// was found in it.
func (c *console) cut() (splats []splat.Splat, dropped int, last []string, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	splats, dropped = c.det.Close()
	last, text = c.last, c.text.String()
	c.det, c.last, c.text = splat.Detector{}, nil, ends{max: keptText}
	return splats, dropped, last, text
}

// ends keeps the beginning and the end of a text.
type ends struct {
	max        int // bytes of each
	head, tail []byte
	dropped    int64
}

func (e *ends) write(s string) {
	if n := min(len(s), e.max-len(e.head)); n > 0 {
		e.head = append(e.head, s[:n]...)
		s = s[n:]
	}
	e.tail = append(e.tail, s...)
	if extra := len(e.tail) - e.max; extra > e.max {
		e.dropped += int64(extra)
		e.tail = append(e.tail[:0], e.tail[extra:]...)
	}
}

// String returns what was kept, with a line between if something was not.
func (e *ends) String() string {
	if e.dropped > 0 {
		return string(e.head) + "\n[…]\n" + string(e.tail)
	}
	return string(e.head) + string(e.tail)
}

// Write makes ends an io.Writer; it is not safe for concurrent use.
func (e *ends) Write(p []byte) (int, error) {
	e.write(string(p))
	return len(p), nil
}
