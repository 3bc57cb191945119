// Package progress tells a person how far long work has come: a bar on a
// terminal, a line now and then elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/cheggaaa/pb/v3"
	"golang.org/x/term"
)

// every is the least time between two lines where there is no terminal.
const every = 15 * time.Second

// Terminal reports whether w is a terminal.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Bar counts work that is known beforehand, or not (total 0).
type Bar struct {
	mu    sync.Mutex
	w     io.Writer
	what  string
	unit  string
	bar   *pb.ProgressBar
	total int64
	done  int64
	start time.Time
	last  time.Time
}

// New starts a bar on w. what says what is being done ("build arm64"), unit
// what is counted ("objects"; "B" is shown as bytes with a rate).
func New(w io.Writer, what, unit string, total int64) *Bar {
	b := &Bar{w: w, what: what, unit: unit, total: total, start: time.Now(), last: time.Now()}
	if !Terminal(w) {
		return b
	}
	const counted = `{{string . "what"}} {{counters . }} {{bar . "[" "=" ">" " " "]"}} {{percent . }} {{rtime . "%s left" "%s" "?"}}`
	const bytes = `{{string . "what"}} {{counters . }} {{bar . "[" "=" ">" " " "]"}} {{speed . }} {{rtime . "%s left" "%s" "?"}}`
	tmpl := counted
	if unit == "B" {
		tmpl = bytes
	}
	b.bar = pb.New64(total).SetTemplateString(tmpl).SetWriter(w).Set("what", what)
	b.bar.Set(pb.Bytes, unit == "B")
	b.bar.SetRefreshRate(100 * time.Millisecond).Start()
	return b
}

// SetTotal changes how much there is to do.
func (b *Bar) SetTotal(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total = n
	if b.bar != nil {
		b.bar.SetTotal(n)
	}
}

// Add counts n units as done.
func (b *Bar) Add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	if b.bar != nil {
		b.bar.SetCurrent(b.done)
		return
	}
	if now := time.Now(); now.Sub(b.last) >= every {
		b.last = now
		fmt.Fprintf(b.w, "%s  %s: %s after %s%s\n", now.Format("15:04:05"), b.what, b.count(), now.Sub(b.start).Round(time.Second), b.left(now))
	}
}

// Write counts the bytes of p, so that a Bar can stand behind io.TeeReader.
func (b *Bar) Write(p []byte) (int, error) {
	b.Add(int64(len(p)))
	return len(p), nil
}

// Done ends the bar; a terminal's line is cleared.
func (b *Bar) Done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		b.bar.Finish()
		fmt.Fprint(b.w, "\x1b[1A\x1b[2K\r")
	}
}

// left says about how long the rest will take, if it goes on as it went.
func (b *Bar) left(now time.Time) string {
	if b.done <= 0 || b.done >= b.total {
		return ""
	}
	left := time.Duration(float64(now.Sub(b.start)) / float64(b.done) * float64(b.total-b.done))
	return fmt.Sprintf(", about %s left", left.Round(time.Second))
}

func (b *Bar) count() string {
	unit := " " + b.unit
	done, total := b.done, b.total
	if b.unit == "B" {
		unit, done, total = " MB", done/1e6, total/1e6
	}
	if total > 0 {
		return fmt.Sprintf("%d of %d%s", done, total, unit)
	}
	return fmt.Sprintf("%d%s", done, unit)
}
