package hotbuild

import (
	"bytes"
	"fmt"
)

// pinLines returns a patched file with #line directives by which every line
// that was there before keeps its number, so that what the source calls
// __LINE__ (in warnings, lock classes, might_sleep) changes only where the
// patch changed something.
//
// Lines that the patch added are numbered as in the patched file, under another
// spelling of the file's name: fresh. natural is the spelling the compiler
// uses by itself. The two come out as one in __FILE__, since kbuild maps the
// prefix away, but debug information tells them apart. That is how a variable
// declared in an added line is not taken for one that was declared in the old
// line of the same number.
//
// A directive may not stand inside a comment, a continued line or the arguments
// of a macro. Where one would be needed there it comes as soon as it may; until
// then lines have wrong numbers, which makes a change look larger and nothing
// worse.
func pinLines(c *change, natural, fresh string) []byte {
	if c.added || !c.shifted() {
		return c.text()
	}
	var out bytes.Buffer
	var sc scanner
	file, next, known := natural, 1, true
	for i, line := range c.lines {
		wantFile, want := natural, c.origin[i]
		if want == 0 {
			wantFile, want = fresh, i+1
		}
		if sc.open() && (!known || file != wantFile || next != want) {
			fmt.Fprintf(&out, "#line %d %q\n", want, wantFile)
			file, next, known = wantFile, want, true
		}
		out.Write(line)
		next++
		// A directive in a group that is skipped does nothing.
		if sc.scan(line) {
			known = false
		}
	}
	return out.Bytes()
}

// shifted reports whether any line is new or has moved.
func (c *change) shifted() bool {
	for i, n := range c.origin {
		if n != i+1 {
			return true
		}
	}
	return false
}

// scanner follows C far enough to know where a preprocessor directive may
// stand.
type scanner struct {
	comment   bool // inside /* */
	continued bool // the last line ended in a backslash
	directive bool // inside a directive
	parens    int
	groups    []group // conditional groups, outermost first
}

// group is an #if with what belongs to it. Only one of its branches counts, and
// which is not known here: each begins with the parentheses that were open at
// the #if, and behind the #endif are as many as the branch with the fewest left.
type group struct{ start, least int }

// open reports whether a directive may stand before the next line.
func (s *scanner) open() bool { return !s.comment && !s.continued && s.parens == 0 }

// scan reads a line, and reports whether it was a conditional directive.
func (s *scanner) scan(line []byte) (conditional bool) {
	text := bytes.TrimRight(line, "\r\n")
	if !s.continued && !s.comment {
		trimmed := bytes.TrimLeft(text, " \t")
		s.directive = bytes.HasPrefix(trimmed, []byte("#"))
		if s.directive {
			conditional = s.conditional(bytes.TrimLeft(trimmed[1:], " \t"))
		} else if bytes.HasPrefix(text, []byte("}")) {
			s.parens = 0 // unbalanced by alternatives of an #if
		}
	}
	s.continued = bytes.HasSuffix(text, []byte("\\"))
	for i := 0; i < len(text); i++ {
		if s.comment {
			if text[i] == '*' && i+1 < len(text) && text[i+1] == '/' {
				s.comment = false
				i++
			}
			continue
		}
		switch ch := text[i]; {
		case ch == '/' && i+1 < len(text) && text[i+1] == '*':
			s.comment = true
			i++
		case ch == '/' && i+1 < len(text) && text[i+1] == '/':
			return conditional
		case ch == '"' || ch == '\'':
			for i++; i < len(text) && text[i] != ch; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case s.directive:
		case ch == '(':
			s.parens++
		case ch == ')' && s.parens > 0:
			s.parens--
		}
	}
	return conditional
}

// conditional follows conditional groups; it reports whether a directive's word
// is one of them.
func (s *scanner) conditional(word []byte) bool {
	n := len(s.groups) - 1
	switch {
	case bytes.HasPrefix(word, []byte("if")):
		s.groups = append(s.groups, group{s.parens, -1})
	case n < 0:
		return false
	case bytes.HasPrefix(word, []byte("el")), bytes.HasPrefix(word, []byte("endif")):
		g := &s.groups[n]
		if g.least < 0 || s.parens < g.least {
			g.least = s.parens
		}
		s.parens = g.start
		if bytes.HasPrefix(word, []byte("endif")) {
			s.parens = g.least
			s.groups = s.groups[:n]
		}
	default:
		return false
	}
	return true
}
