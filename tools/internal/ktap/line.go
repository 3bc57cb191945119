package ktap

import (
	"regexp"
	"strconv"
	"strings"
)

// kind is what a line of the stream is.
type kind int

const (
	isOther   kind = iota // log messages, program output, diagnostics
	isVersion             // "KTAP version 1", "TAP version 13"
	isPlan                // "1..4"
	isResult              // "ok 1 name # DIRECTIVE text", "not ok …"
	isBail                // "Bail out! why"
	isHeader              // "# Subtest: name"
)

// line is one line, taken apart.
type line struct {
	kind   kind
	column int  // where the KTAP part starts, after a printk time stamp
	hash   bool // the way to that column is by "# ", as in kselftest, not by spaces alone

	n         int    // plan: how many; result: the number, 0 if it has none
	ok        bool   // result
	name      string // result, header; bail: the reason
	directive string // result, plan: SKIP, TODO, XFAIL, XPASS, TIMEOUT, ERROR or ""
	comment   string // result, plan: what follows the "#", without the directive
}

var (
	versionRE = regexp.MustCompile(`^K?TAP version \d+\s*$`)
	planRE    = regexp.MustCompile(`^1\.\.(\d+)\s*(?:#\s*(.*))?$`)
	resultRE  = regexp.MustCompile(`^(ok|not ok)(?:\s+(\d+))?(?:\s+(.*))?$`)
	// A directive is a word of capitals in every writer but the oldest; TAP
	// allows SKIPPED and the like for SKIP.
	directiveRE = regexp.MustCompile(`(?i)^(skip\w*|todo|xfail|xpass|timeout|error)\b[:\s]*`)
)

// parseLine takes text (no newline, no printk prefix) apart.
func parseLine(text string) line {
	text = strings.TrimRight(text, " \t")
	rest := strings.TrimLeft(text, " \t")
	if name, ok := strings.CutPrefix(rest, "# Subtest:"); ok {
		return line{kind: isHeader, column: len(text) - len(rest), name: strings.TrimSpace(name)}
	}
	column, hash := indent(text)
	l := line{column: column, hash: hash}
	body := text[column:]
	if versionRE.MatchString(body) {
		l.kind = isVersion
		return l
	}
	if m := planRE.FindStringSubmatch(body); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			l.kind, l.n = isPlan, n
			l.directive, l.comment = splitDirective(m[2])
			return l
		}
	}
	if why, ok := strings.CutPrefix(body, "Bail out!"); ok {
		l.kind, l.name = isBail, strings.TrimSpace(why)
		return l
	}
	if m := resultRE.FindStringSubmatch(body); m != nil {
		n := 0
		if m[2] != "" {
			var err error
			if n, err = strconv.Atoi(m[2]); err != nil {
				return l // a number out of all range numbers nothing
			}
		}
		l.kind, l.n, l.ok = isResult, n, m[1] == "ok"
		l.name, l.directive, l.comment = splitName(m[3])
		return l
	}
	return l
}

// indent returns the column after leading spaces and "# " marks, and whether
// there were marks.
func indent(text string) (column int, hash bool) {
	for column < len(text) {
		switch {
		case text[column] == ' ' || text[column] == '\t':
			column++
		case strings.HasPrefix(text[column:], "# "):
			hash = true
			column += 2
		default:
			return column, hash
		}
	}
	return column, hash
}

// splitName takes "name # DIRECTIVE comment" apart. A "#" counts only after
// white space and before white space or a directive: "list #2" is a name.
func splitName(s string) (name, directive, comment string) {
	name = s
	for i := 0; i < len(s); i++ {
		if s[i] != '#' || (i > 0 && s[i-1] != ' ' && s[i-1] != '\t') {
			continue
		}
		after := s[i+1:]
		d, c := splitDirective(after)
		if d == "" && after != "" && after[0] != ' ' && after[0] != '\t' {
			continue
		}
		name, directive, comment = s[:i], d, c
		break
	}
	name = strings.TrimSpace(name)
	name = strings.TrimSpace(strings.TrimPrefix(name, "- ")) // TAP: "ok 1 - name"
	if name == "-" {
		name = ""
	}
	name = strings.NewReplacer(`\#`, "#", `\\`, `\`).Replace(name)
	return name, directive, comment
}

func splitDirective(s string) (directive, comment string) {
	s = strings.TrimSpace(s)
	m := directiveRE.FindStringSubmatch(s)
	if m == nil {
		return "", s
	}
	directive = strings.ToUpper(m[1])
	if strings.HasPrefix(directive, "SKIP") {
		directive = "SKIP"
	}
	return directive, strings.TrimSpace(s[len(m[0]):])
}
