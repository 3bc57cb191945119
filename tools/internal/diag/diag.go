// Package diag holds what a check found wrong, as data: where, what, and what
// to do about it. How a diagnostic looks is decided once, where it is printed.
package diag

import (
	"fmt"
	"strings"
)

// Diag is one finding. File, Line and Col (1-based, 0 when the whole file or
// line is meant; columns count characters) say where; Msg says what is wrong in lower case without a full stop; Hint,
// if any, says what to do.
type Diag struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
	Msg  string `json:"message"`
	Hint string `json:"hint,omitempty"`
}

// Error returns the diagnostic as "file:line:col: message (hint)".
func (d Diag) Error() string {
	var b strings.Builder
	if d.File != "" {
		b.WriteString(d.File)
		if d.Line > 0 {
			fmt.Fprintf(&b, ":%d", d.Line)
			if d.Col > 0 {
				fmt.Fprintf(&b, ":%d", d.Col)
			}
		}
		b.WriteString(": ")
	}
	b.WriteString(d.Msg)
	if d.Hint != "" {
		b.WriteString(" (" + d.Hint + ")")
	}
	return b.String()
}

// List is a set of findings, and an error when it is not empty.
type List []Diag

// Addf appends a finding without a hint.
func (l *List) Addf(file string, line int, format string, args ...any) {
	*l = append(*l, Diag{File: file, Line: line, Msg: fmt.Sprintf(format, args...)})
}

// Err returns the list as an error, or nil when nothing was found.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

// Error returns the findings one a line.
func (l List) Error() string {
	lines := make([]string, len(l))
	for i, d := range l {
		lines[i] = d.Error()
	}
	return strings.Join(lines, "\n")
}
