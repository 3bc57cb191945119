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

	// countedFactor is how much longer it may be where the guest's time is
	// counted in instructions: a second of that is ten of the host's and more.
	countedFactor = 10

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
	n       int           // lines of the present unit
	prodded int           // how many of them came before the laboratory prodded the guest; -1: it did not
	died    chan struct{} // closed when the kernel said it is dying
	isDying bool
}

func newConsole(tell func(string)) *console {
	return &console{tell: tell, died: make(chan struct{}), text: ends{max: keptText}, prodded: -1}
}

// line takes one line. It is called by one goroutine at a time.
func (c *console) line(s string) {
	c.mu.Lock()
	c.n++
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

// prod notes that what the kernel says from now on was asked for.
func (c *console) prod() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prodded = c.n
}

// cut ends the part of the console that belongs to one unit, and adds what was
// found in it to what was seen.
func (c *console) cut(s *seen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, dropped := c.det.Close()
	for _, sp := range found {
		if c.prodded < 0 || sp.Line <= c.prodded {
			s.splats = append(s.splats, sp)
		}
	}
	s.dropped, s.last, s.console = dropped, c.last, c.text.String()
	c.det, c.last, c.text, c.n, c.prodded = splat.Detector{}, nil, ends{max: keptText}, 0, -1
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
