package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"
)

// window is a block of lines at the bottom of a terminal that is drawn over
// itself. The cursor rests on the line below it. Each drawing is one write that
// erases a line only after its new text, so nothing flickers.
type window struct {
	w     io.Writer
	color bool
	size  func() (columns, rows int)
	drawn []string // the lines that are on the screen now
}

// Control sequences of ECMA-48.
const (
	eraseLine  = "\x1b[K" // from the cursor to the end of its line
	eraseBelow = "\x1b[J" // from the cursor to the end of the screen
)

// draw replaces the window's lines, and puts the lines of keep above it.
func (w *window) draw(lines, keep []string) {
	if len(keep) == 0 && slices.Equal(lines, w.drawn) {
		return
	}
	var b strings.Builder
	if up := w.rows(); up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	b.WriteByte('\r')
	if len(keep) > 0 {
		// They may be wider than the terminal, where erasing after them is not safe.
		b.WriteString(eraseBelow)
	}
	for _, l := range keep {
		b.WriteString(l + "\n")
	}
	for _, l := range lines {
		b.WriteString(l + eraseLine + "\n")
	}
	b.WriteString(eraseBelow)
	_, _ = io.WriteString(w.w, b.String())
	w.drawn = slices.Clone(lines)
}

// rows returns how many rows the drawn lines take now. A terminal that has
// become narrower since has wrapped those that no longer fit.
func (w *window) rows() int {
	columns, _ := w.size()
	n := 0
	for _, l := range w.drawn {
		width := runewidth.StringWidth(escapes.ReplaceAllString(l, ""))
		n += max(1, (width+columns-1)/max(columns, 1))
	}
	return n
}
