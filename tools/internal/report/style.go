package report

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/progress"
	"cloudkernel/tools/internal/result"
)

// Color reports whether w should be given colours: it is a terminal that knows
// them, and the user has not said no (https://no-color.org).
func Color(w io.Writer) bool {
	return progress.Terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// SGR codes of ECMA-48: what kind of thing is in what colour.
const (
	plainText = ""
	bold      = "1"
	faint     = "2"
	red       = "1;31"
	green     = "32"
	yellow    = "33"
)

// paint wraps s in a colour if on is set.
func paint(on bool, code, s string) string {
	if !on || code == plainText || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// verdict returns the word for how a case ended, and its colour. Words of bad
// ends are in capitals, so that they stand out without colour too.
func verdict(c *result.Case) (word, color string) {
	switch {
	case c.Bad():
		word, color = strings.ToUpper(string(c.Outcome)), red
	case c.Outcome.Bad():
		return string(c.Outcome) + " (known)", yellow
	case c.Outcome == outcome.Skip:
		return "skip", yellow
	default:
		word, color = string(c.Outcome), green
	}
	if c.Flaky() {
		word += " (flaky)"
	}
	return word, color
}

// on names the kernel that a case ran on.
func on(c *result.Case) string { return c.Arch + " " + c.Profile }

// escapes are terminal control sequences of ECMA-48.
var escapes = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]")

// clean makes a line of somebody else's text safe to print: no control
// sequences, control characters or broken UTF-8, tabs as blanks to the next
// eighth column.
func clean(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	column := 0
	for _, r := range escapes.ReplaceAllString(s, "") {
		switch {
		case r == '\t':
			n := 8 - column%8
			b.WriteString(strings.Repeat(" ", n))
			column += n
		case unicode.IsControl(r):
		default:
			b.WriteRune(r) // a broken byte is U+FFFD here
			column += runewidth.RuneWidth(r)
		}
	}
	return b.String()
}

// fit cuts s to a number of columns, the last of them a dot of omission.
// 0 columns means no limit.
func fit(s string, columns int) string {
	if columns <= 0 || runewidth.StringWidth(s) <= columns {
		return s
	}
	return runewidth.Truncate(s, columns, "…")
}

// pad fills s with blanks up to a number of columns.
func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(0, columns-runewidth.StringWidth(s)))
}

// seconds writes a duration with a tenth of a second: 0.4s, 61.0s.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// clock writes a duration as people read one: 12s, 1m05s, 2h03m.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
}
