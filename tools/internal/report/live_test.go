package report

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/mattn/go-runewidth"

	"cloudkernel/tools/internal/golden"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// screen is as much of a terminal as the window uses. It wraps lines again
// when it is resized, as most terminals do.
type screen struct {
	columns  int
	lines    []screenLine // everything ever shown, the scrolled-off part too
	row, col int
}

type screenLine struct {
	text    []rune
	wrapped bool // the next line continues this one
}

func (s *screen) at(row int) *screenLine {
	for len(s.lines) <= row {
		s.lines = append(s.lines, screenLine{})
	}
	return &s.lines[row]
}

func (s *screen) Write(p []byte) (int, error) {
	text := []rune(string(p))
	for i := 0; i < len(text); i++ {
		switch r := text[i]; {
		case r == '\n':
			s.at(s.row).wrapped = false
			s.row, s.col = s.row+1, 0
		case r == '\r':
			s.col = 0
		case r == 0x1b:
			j := i + 2
			for text[j] >= '0' && text[j] <= '?' {
				j++
			}
			n, err := strconv.Atoi(string(text[i+2 : j]))
			if err != nil {
				n = 1
			}
			switch text[j] {
			case 'A':
				s.row = max(0, s.row-n)
			case 'K':
				l := s.at(s.row)
				l.text = l.text[:min(len(l.text), s.col)]
			case 'J':
				l := s.at(s.row)
				l.text = l.text[:min(len(l.text), s.col)]
				s.lines = s.lines[:s.row+1]
			case 'm':
			default:
				panic(fmt.Sprintf("the screen does not know %q", string(text[i:j+1])))
			}
			i = j
		default:
			s.put(r)
		}
	}
	return len(p), nil
}

func (s *screen) put(r rune) {
	if s.col+runewidth.RuneWidth(r) > s.columns {
		s.at(s.row).wrapped = true
		s.row, s.col = s.row+1, 0
	}
	l := s.at(s.row)
	for len(l.text) <= s.col {
		l.text = append(l.text, ' ')
	}
	l.text[s.col] = r
	s.col += runewidth.RuneWidth(r)
}

func (s *screen) resize(columns int) {
	old := s.lines
	cursor := s.row
	s.columns, s.lines = columns, nil
	var joined []rune
	for i, l := range old {
		if i == cursor {
			s.row = len(s.lines)
		}
		joined = append(joined, l.text...)
		if l.wrapped {
			continue
		}
		for {
			n := min(len(joined), columns)
			s.lines = append(s.lines, screenLine{text: joined[:n:n], wrapped: n < len(joined)})
			if joined = joined[n:]; len(joined) == 0 {
				break
			}
		}
		joined = nil
	}
	if cursor >= len(old) {
		s.row = len(s.lines)
	}
	s.col = 0
}

func (s *screen) String() string {
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(strings.TrimRight(string(l.text), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// stage is a Live on a screen, with a clock that the test moves.
type stage struct {
	*Live
	screen *screen
	time   time.Time
	rows   int
	shots  strings.Builder
}

func newStage(columns, rows int) *stage {
	s := &stage{screen: &screen{columns: columns}, time: noon, rows: rows}
	s.Live = newLive(s.screen, func() time.Time { return s.time })
	s.window = &window{w: s.screen, size: func() (int, int) { return s.screen.columns, s.rows }}
	return s
}

func (s *stage) shot(title string) {
	s.tick()
	fmt.Fprintf(&s.shots, "== %s\n%s", title, s.screen)
}

func (s *stage) wait(d time.Duration) { s.time = s.time.Add(d) }

func started(name string) result.Event {
	return result.Event{Kind: result.Started, Case: &result.Case{Name: name, Arch: "arm64", Profile: "default"}}
}

func output(name, line string) result.Event {
	return result.Event{Kind: result.Output, Line: line, Case: &result.Case{Name: name, Arch: "arm64", Profile: "default"}}
}

func finished(name string, o outcome.Outcome, reason string) result.Event {
	return result.Event{Kind: result.Finished, Case: &result.Case{Name: name, Arch: "arm64", Profile: "default",
		Outcome: o, Reason: reason, Duration: 1400 * time.Millisecond}}
}

// play is a run of four cases, two at a time.
func play(s *stage) {
	s.shot("before anything")
	s.Event(result.Event{Kind: result.Note, Line: "tcg: no hardware virtualization here"})
	s.Event(result.Event{Kind: result.Planned, Total: 4})
	s.shot("planned")
	s.Event(started("smoke/boot"))
	s.Event(started("task-protect/hostinfo"))
	s.Event(output("smoke/boot", "[    0.000000] Booting Linux on physical CPU 0x0000000000"))
	s.wait(2300 * time.Millisecond)
	s.shot("two run")
	s.Event(output("smoke/boot", ""))
	s.Event(output("task-protect/hostinfo", "\x1b[31mKTAP\tversion 1\x1b[0m"))
	s.Event(finished("smoke/boot", outcome.Pass, ""))
	s.shot("one passed: counted, not kept")
	s.Event(started("vmf/fair"))
	s.wait(62 * time.Second)
	s.Event(finished("task-protect/hostinfo", outcome.Panic, "BUG: kernel NULL pointer dereference in protect_set, which is quite a long reason"))
	s.shot("one panicked: kept")
	_, _ = s.Write([]byte("12:01:05  build x86_64: 40 of 2000 objects\nhalf a "))
	s.shot("a build's line")
	s.screen.resize(max(s.screen.columns/2, 1))
	s.shot("narrower")
	s.screen.resize(s.screen.columns * 2)
	s.shot("as wide as before")
	s.Event(finished("vmf/fair", outcome.Skip, "needs 4 CPUs"))
	_ = s.Close(nil)
	_ = s.Close(nil)
	s.Event(started("too/late"))
	s.shot("closed")
}

func TestWindow(t *testing.T) {
	for _, tt := range []struct{ columns, rows int }{{100, 24}, {40, 10}, {12, 4}} {
		t.Run(fmt.Sprint(tt.columns), func(t *testing.T) {
			s := newStage(tt.columns, tt.rows)
			play(s)
			golden.Check(t, fmt.Sprintf("testdata/window%d.txt", tt.columns), s.shots.String())
		})
	}
}

// TestWindowFits draws many cases at many sizes: no line reaches the last
// column, and the window and its cursor stay within the screen.
func TestWindowFits(t *testing.T) {
	for columns := 1; columns < 130; columns += 3 {
		for rows := 1; rows < 14; rows++ {
			s := newStage(columns, rows)
			s.Event(result.Event{Kind: result.Planned, Total: 30})
			for i := range 9 {
				name := fmt.Sprintf("topic/case-with-a-long-name-%d", i)
				s.Event(started(name))
				s.Event(output(name, "漢字 wide characters, and a long line that goes on and on, on and on"))
			}
			frame := s.state.frame(s.time, s.window)
			if len(frame) > max(rows-1, 1) {
				t.Errorf("%d×%d: %d lines and the cursor", columns, rows, len(frame))
			}
			for _, l := range frame {
				if w := runewidth.StringWidth(l); w > max(columns-1, 1) {
					t.Errorf("%d×%d: %d columns wide: %q", columns, rows, w, l)
				}
			}
		}
	}
}

// TestWindowIsQuiet: nothing is written when nothing has changed, and a frame
// is one write.
func TestWindowIsQuiet(t *testing.T) {
	var w countingWriter
	now := noon
	l := newLive(&w, func() time.Time { return now })
	l.window = &window{w: &w, size: func() (int, int) { return 80, 24 }}
	l.Event(result.Event{Kind: result.Planned, Total: 1})
	l.Event(started("a/b"))
	l.tick()
	before := w.n
	for range 10 {
		l.tick()
		now = now.Add(50 * time.Millisecond)
	}
	if w.n != before {
		t.Errorf("%d writes in a second's half in which nothing changed", w.n-before)
	}
	now = now.Add(time.Second)
	l.tick()
	if w.n != before+1 {
		t.Errorf("%d writes for one frame", w.n-before)
	}
	// Text on a line is replaced, not blanked first.
	if i := strings.Index(w.last, eraseLine); i >= 0 && strings.HasPrefix(strings.TrimLeft(w.last, "\r"), eraseLine) {
		t.Errorf("a line is erased before it is written: %q", w.last)
	}
}

type countingWriter struct {
	n    int
	last string
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.n++
	w.last = string(p)
	return len(p), nil
}

func TestPlainLines(t *testing.T) {
	var b bytes.Buffer
	now := noon
	l := newLive(&b, func() time.Time { return now })
	step := func(d time.Duration, e result.Event) {
		now = now.Add(d)
		l.Event(e)
		l.tick()
	}
	step(0, result.Event{Kind: result.Note, Line: "tcg: no hardware virtualization here"})
	step(0, result.Event{Kind: result.Planned, Total: 2})
	step(time.Second, started("smoke/boot"))
	step(time.Second, started("vmf/fair"))
	step(time.Second, output("vmf/fair", "[    0.1] \x1b[1mlast\x1b[0m words"))
	step(time.Second, finished("smoke/boot", outcome.Pass, ""))
	now = now.Add(59 * time.Second)
	l.tick() // not yet
	now = now.Add(time.Second)
	l.tick()
	now = now.Add(30 * time.Second)
	l.tick() // no second sign of life so soon
	_, _ = l.Write([]byte("12:01:40  build x86_64: 40 of 2000 objects\n"))
	step(time.Second, finished("vmf/fair", outcome.Hang, "silent for 30 s"))
	_ = l.Close(nil)
	golden.Check(t, "testdata/plain.txt", b.String())
}

// TestLiveInParallel lets the race detector see events, text and the ticker.
func TestLiveInParallel(t *testing.T) {
	var b bytes.Buffer
	l := NewLive(&b)
	done := make(chan bool)
	for i := range 4 {
		go func() {
			for j := range 50 {
				name := fmt.Sprintf("t/%d-%d", i, j)
				l.Event(started(name))
				l.Event(output(name, "x"))
				_, _ = l.Write([]byte("y\n"))
				l.tick()
				l.Event(finished(name, outcome.Pass, ""))
			}
			done <- true
		}()
	}
	for range 4 {
		<-done
	}
	_ = l.Close(nil)
	if n := strings.Count(b.String(), "pass  t/"); n != 200 {
		t.Errorf("%d of 200 cases were told", n)
	}
}

// TestLiveOnTerminal runs the window on a real terminal device.
func TestLiveOnTerminal(t *testing.T) {
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	defer ptmx.Close()
	if err := pty.Setsize(ptmx, &pty.Winsize{Cols: 60, Rows: 10}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	shown := make(chan []byte)
	go func() {
		data, _ := io.ReadAll(ptmx) // ends with an error when the terminal is closed
		shown <- data
	}()

	l := NewLive(tty)
	l.Event(result.Event{Kind: result.Planned, Total: 1})
	l.Event(started("smoke/boot"))
	l.Event(output("smoke/boot", "a line of the console that is longer than the terminal is wide"))
	l.tick()
	l.Event(finished("smoke/boot", outcome.Hang, "silent"))
	if err := l.Close(nil); err != nil {
		t.Fatal(err)
	}
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	data := string(<-shown)
	if !strings.Contains(data, "smoke/boot on arm64 default  a line of the consol…") {
		t.Errorf("the window did not show the running case: %q", data)
	}
	s := &screen{columns: 60}
	_, _ = s.Write([]byte(strings.ReplaceAll(data, "\r\n", "\n")))
	if got, want := s.String(), "HANG  smoke/boot on arm64 default  1.4s  silent\n"; got != want {
		t.Errorf("left on the terminal: %q, want %q", got, want)
	}
}
