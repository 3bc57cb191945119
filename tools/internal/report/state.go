package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"cloudkernel/tools/internal/result"
)

// state is what is known of a run while it runs.
type state struct {
	started time.Time
	total   int
	count   Count
	running []*running // the one that started first first
}

type running struct {
	name, on string
	since    time.Time
	line     string // the last of its console that was not blank
}

// find tells a running case from the others: under --repeat two of the same
// name may run at once, and then either line will do.
func (s *state) find(c *result.Case) int {
	return slices.IndexFunc(s.running, func(r *running) bool { return r.name == c.Name && r.on == on(c) })
}

func (s *state) event(e result.Event, now time.Time) {
	switch e.Kind {
	case result.Planned:
		s.total = e.Total
	case result.Started:
		s.running = append(s.running, &running{name: e.Case.Name, on: on(e.Case), since: now})
	case result.Output:
		if i := s.find(e.Case); i >= 0 {
			if line := clean(e.Line); line != "" {
				s.running[i].line = line
			}
		}
	case result.Finished:
		if i := s.find(e.Case); i >= 0 {
			s.running = slices.Delete(s.running, i, i+1)
		}
		s.count = s.count.Add(CountOf(&result.Run{Cases: []result.Case{*e.Case}}))
	}
}

// frame returns the lines of the window, none wider than the terminal and no
// more of them than it has rows.
func (s *state) frame(now time.Time, w *window) []string {
	columns, rows := w.size()
	if s.total == 0 && len(s.running) == 0 {
		return nil
	}
	// The last column stays free: writing into it makes some terminals wrap.
	columns = max(columns-1, 1)
	lines := []string{paint(w.color, bold, fit(s.title(now), columns))}

	// One row is for the title, one for the cursor, and one stays for what is
	// above the window.
	room := max(rows-3, 0)
	shown := s.running
	if len(shown) > room {
		shown = shown[:max(room-1, 0)]
	}
	names := 0
	for _, r := range shown {
		names = max(names, runewidth.StringWidth(r.title()))
	}
	for _, r := range shown {
		row := fmt.Sprintf("%7s  %s", clock(now.Sub(r.since)), r.title())
		// A console's line of less than 20 columns tells nothing.
		if left := columns - len("  1m02s") - names - 4; left >= 20 {
			row += strings.Repeat(" ", names-runewidth.StringWidth(r.title())) + "  " + r.line
		}
		lines = append(lines, strings.TrimRight(fit(row, columns), " "))
	}
	if more := len(s.running) - len(shown); more > 0 && room > 0 {
		lines = append(lines, fit(fmt.Sprintf("         and %d more", more), columns))
	}
	return lines
}

// title is the window's first line.
func (s *state) title(now time.Time) string {
	done := s.count.Passed + s.count.Failed + s.count.Skipped
	title := fmt.Sprintf("%d of %d cases", done, max(s.total, done+len(s.running)))
	if s.count.Failed > 0 {
		title += fmt.Sprintf(", %d failed", s.count.Failed)
	}
	return title + ", " + clock(now.Sub(s.started))
}

func (r *running) title() string { return r.name + " on " + r.on }
