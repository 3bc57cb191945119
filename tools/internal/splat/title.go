package splat

import (
	"path"
	"regexp"
	"strings"
)

var (
	hexRE    = regexp.MustCompile(`\b(?:0x[0-9a-fA-F]+|[0-9a-f]{8,})\b`)
	offsetRE = regexp.MustCompile(`\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?`)
	taskRE   = regexp.MustCompile(`(\S+)[:/]\d+\b`)
	numberRE = regexp.MustCompile(`\b\d+\b`)
	rootRE   = regexp.MustCompile(`^(?:\.{1,2}/)+`)
)

// fill completes the rule's title from what its expression captured.
func (r *rule) fill(m []string) string {
	title := r.title
	for i := len(m) - 1; i > 0; i-- {
		s := m[i]
		if !r.verbatim {
			s = capture(s)
		}
		title = strings.ReplaceAll(title, "$"+string(rune('0'+i)), s)
	}
	// A rule whose place is optional leaves the preposition behind.
	title = strings.ReplaceAll(title, " at  in", " in")
	return strings.TrimSuffix(title, " at ")
}

// capture makes a captured string fit to stand in a title.
func capture(s string) string {
	if strings.HasSuffix(s, ".c") || strings.HasSuffix(s, ".h") || strings.HasSuffix(s, ".S") {
		// A source file: as the kernel's tree has it, or the bare name of a
		// module's that was built somewhere else.
		if path.IsAbs(s) {
			return path.Base(s)
		}
		return rootRE.ReplaceAllString(s, "")
	}
	s = plain(s)
	s = offsetRE.ReplaceAllString(s, "")
	s = hexRE.ReplaceAllString(s, "ADDR")
	s = taskRE.ReplaceAllString(s, "$1")
	s = numberRE.ReplaceAllString(s, "N")
	return strings.Join(strings.Fields(s), " ")
}
