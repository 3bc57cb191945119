package machine

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

// Bounds of what is kept of a console.
const (
	logHead   = 4 << 20 // bytes of the log file from the beginning
	logTail   = 1 << 20 // bytes from the end, at least; twice that at most
	lastLines = 200     // lines that Last can return
	lineMax   = 4096    // bytes; a longer line comes in pieces
)

// Log captures a console. Everything is handed on line by line; the file has
// all of it, or, of a guest that floods its console, the beginning and the end.
type Log struct {
	mu     sync.Mutex
	onLine func(string)

	file    *os.File
	maxHead int // logHead and logTail, but for tests
	maxTail int
	head    int      // bytes written to the file
	tail    []byte   // the last bytes beyond the head
	dropped int64    // bytes that are in neither
	err     error    // the first error of the file
	line    []byte   // begun
	last    []string // ring
	next    int      // in last
	total   int64    // bytes
}

// NewLog returns a log that writes to the file at path ("" for none) and calls
// onLine, if not nil, with each line, without its end of line.
func NewLog(path string, onLine func(string)) (*Log, error) {
	l := &Log{onLine: onLine, maxHead: logHead, maxTail: logTail}
	if path != "" {
		f, err := os.Create(path)
		if err != nil {
			return nil, err
		}
		l.file = f
	}
	return l, nil
}

// Write takes console output. It never fails: an error of the file is kept for
// Close, the guest goes on.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	var lines []string
	l.total += int64(len(p))
	l.store(p)
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		n := i + 1
		if i < 0 {
			n = len(rest)
		}
		n = min(n, lineMax-len(l.line))
		l.line = append(l.line, rest[:n]...)
		rest = rest[n:]
		if l.line[len(l.line)-1] == '\n' || len(l.line) == lineMax {
			lines = append(lines, l.endLine())
		}
	}
	l.mu.Unlock()
	l.tell(lines) // unlocked: who is told may ask for Last
	return len(p), nil
}

func (l *Log) tell(lines []string) {
	if l.onLine == nil {
		return
	}
	for _, s := range lines {
		l.onLine(s)
	}
}

// endLine ends the line that was begun and returns it.
func (l *Log) endLine() string {
	s := string(bytes.TrimRight(l.line, "\r\n"))
	l.line = l.line[:0]
	if len(l.last) < lastLines {
		l.last = append(l.last, s)
	} else {
		l.last[l.next] = s
		l.next = (l.next + 1) % lastLines
	}
	return s
}

func (l *Log) store(p []byte) {
	if l.file == nil {
		return
	}
	if n := min(len(p), l.maxHead-l.head); n > 0 {
		if _, err := l.file.Write(p[:n]); err != nil && l.err == nil {
			l.err = err
		}
		l.head += n
		p = p[n:]
	}
	l.tail = append(l.tail, p...)
	if extra := len(l.tail) - l.maxTail; extra > l.maxTail {
		l.dropped += int64(extra)
		l.tail = append(l.tail[:0], l.tail[extra:]...)
	}
}

// Last returns up to n of the last lines, the oldest first.
func (l *Log) Last(n int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := append(append([]string(nil), l.last[l.next:]...), l.last[:l.next]...)
	if len(l.line) > 0 {
		all = append(all, string(bytes.TrimRight(l.line, "\r\n")))
	}
	return all[max(0, len(all)-n):]
}

// Bytes returns how much the guest printed, and how much of it the file lacks.
func (l *Log) Bytes() (total, dropped int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.dropped
}

// Close ends a line that was begun and writes the end of the file.
func (l *Log) Close() error {
	l.mu.Lock()
	var lines []string
	if len(l.line) > 0 {
		lines = append(lines, l.endLine())
	}
	err := l.closeFile()
	l.mu.Unlock()
	l.tell(lines)
	return err
}

func (l *Log) closeFile() error {
	if l.file == nil {
		return l.err
	}
	if l.dropped > 0 {
		fmt.Fprintf(l.file, "\n[%d bytes of the console are not kept]\n", l.dropped)
	}
	_, err := l.file.Write(l.tail)
	if cerr := l.file.Close(); err == nil {
		err = cerr
	}
	l.file = nil
	if l.err == nil {
		l.err = err
	}
	return l.err
}
