package report

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"cloudkernel/tools/internal/progress"
	"cloudkernel/tools/internal/result"
)

const (
	// frameEvery bounds how often the window is drawn again; a person reads no faster.
	frameEvery = 200 * time.Millisecond

	// stillEvery is how long a running case may say nothing in a log before a
	// line tells that it still runs: CI systems end a job that is silent.
	stillEvery = time.Minute
)

// Live shows a run while it runs. On a terminal it keeps a window of the
// running cases at the bottom, and above it what is worth keeping: notes and
// cases that did not pass. Elsewhere every start and end is a line that begins
// with the time of day, and so is a sign of life each minute.
//
// Other text for the same screen goes through Write, which places it above the
// window.
type Live struct {
	mu      sync.Mutex
	w       io.Writer
	now     func() time.Time
	state   state
	window  *window // nil when w is no terminal
	partial string  // of a line that Write has not ended yet
	said    time.Time
	quit    chan struct{}
	ticks   sync.WaitGroup
	closed  bool
}

// NewLive returns a Live that shows on w.
func NewLive(w io.Writer) *Live {
	l := newLive(w, time.Now)
	if progress.Terminal(w) && os.Getenv("TERM") != "dumb" {
		f := w.(*os.File)
		l.window = &window{w: w, color: Color(w), size: func() (int, int) {
			columns, rows, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80, 24
			}
			return columns, rows
		}}
	}
	l.start()
	return l
}

func newLive(w io.Writer, now func() time.Time) *Live {
	return &Live{w: w, now: now, state: state{started: now()}, said: now(), quit: make(chan struct{})}
}

// start draws on time and when the terminal changes its size.
func (l *Live) start() {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	tick := time.NewTicker(frameEvery)
	l.ticks.Go(func() {
		defer signal.Stop(resized)
		defer tick.Stop()
		for {
			select {
			case <-l.quit:
				return
			case <-resized:
			case <-tick.C:
			}
			l.tick()
		}
	})
}

// tick draws the window, or tells a log that cases still run.
func (l *Live) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.window != nil {
		l.window.draw(l.state.frame(l.now(), l.window), nil)
		return
	}
	if l.now().Sub(l.said) < stillEvery {
		return
	}
	for _, r := range l.state.running {
		line := fmt.Sprintf("still runs after %s  %s on %s", clock(l.now().Sub(r.since)), r.name, r.on)
		if r.line != "" {
			line += "  | " + fit(r.line, 100)
		}
		l.say(line, plainText)
	}
}

// Event shows one event.
func (l *Live) Event(e result.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.state.event(e, l.now())
	switch e.Kind {
	case result.Note:
		l.say(clean(e.Line), plainText)
	case result.Planned:
		if l.window == nil {
			l.say(fmt.Sprintf("%d cases to run", e.Total), plainText)
		}
	case result.Started:
		if l.window == nil {
			l.say("starts  "+e.Case.Name+" on "+on(e.Case), plainText)
		}
	case result.Finished:
		word, color := verdict(e.Case)
		if l.window != nil && color == green {
			return // the window counts it
		}
		line := fmt.Sprintf("%s  %s on %s  %s", word, e.Case.Name, on(e.Case), seconds(e.Case.Duration))
		if e.Case.Reason != "" {
			line += "  " + clean(e.Case.Reason)
		}
		l.say(line, color)
	}
}

// say keeps a line: above the window, or in the log.
func (l *Live) say(line, color string) {
	l.said = l.now()
	if l.window != nil {
		l.window.draw(l.state.frame(l.now(), l.window), []string{paint(l.window.color, color, line)})
		return
	}
	fmt.Fprintf(l.w, "%s  %s\n", l.said.Format("15:04:05"), line)
}

// Write takes text of others, such as a build's progress, and keeps its lines.
func (l *Live) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.window == nil || l.closed {
		l.said = l.now()
		return l.w.Write(p)
	}
	text := l.partial + string(p)
	lines := strings.Split(text, "\n")
	l.partial = lines[len(lines)-1]
	for i, line := range lines {
		lines[i] = clean(line)
	}
	l.window.draw(l.state.frame(l.now(), l.window), lines[:len(lines)-1])
	return len(p), nil
}

// Close takes the window away. It writes no report.
func (l *Live) Close(*result.Run) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	if l.window != nil {
		var rest []string
		if l.partial != "" {
			rest = []string{clean(l.partial)}
		}
		l.window.draw(nil, rest)
	}
	l.mu.Unlock()
	close(l.quit)
	l.ticks.Wait()
	return nil
}
