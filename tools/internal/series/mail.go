package series

import (
	"fmt"
	"mime"
	"net/mail"
	"regexp"
	"strings"
	"time"

	"cloudkernel/tools/internal/diag"
)

// Mail is what a patch file says besides its diff.
type Mail struct {
	Author      string // name of the commit's author
	Email       string
	Date        time.Time // author date
	Subject     string    // without "[PATCH]"
	SubjectLine int       // where it stands, 1-based
	Body        string    // between the subject and the trailers, without empty lines around it
	BodyLine    int
	Trailers    []Trailer
	TrailerLine int    // where the last paragraph begins
	text        string // body and trailers as they stand
	style       style
}

// style is what export would write otherwise, though git reads it.
type style struct {
	commit   bool // the first line names a commit
	prefix   string
	dateUTC  bool
	dateLine int
	text     int // line of a diffstat or notes between message and diff, 0 for none
	sig      int // line of a signature
}

// Trailer is a "Key: value" line of a message's last paragraph. Its key is
// spelt as the rules spell it when it differs from them only in case.
type Trailer struct {
	Key, Value string
	Line       int
	spelt      string // the key as it stands
}

// Trailer keys that the rules know.
const (
	keyTopic        = "Topic"
	keyDependsOn    = "Depends-on"
	keyUpstream     = "Upstream-Status"
	keyTestedBy     = "Tested-by-case"
	keyHotpatchable = "Hotpatchable"
)

// knownKeys are in the order in which a message gives them.
var knownKeys = []string{keyTopic, keyDependsOn, keyUpstream, keyTestedBy, keyHotpatchable}

// Trailer returns the value of the first trailer of a key.
func (m *Mail) Trailer(key string) string {
	for _, t := range m.Trailers {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

// Message returns the whole commit message, as git keeps it.
func (m *Mail) Message() string {
	if m.text == "" {
		return m.Subject + "\n"
	}
	return m.Subject + "\n\n" + m.text + "\n"
}

var (
	fromRE    = regexp.MustCompile(`^From [0-9a-f]{40}([0-9a-f]{24})? Mon Sep 17 00:00:00 2001$`)
	headerRE  = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*)$`)
	trailerRE = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*): *(.*)$`)
	prefixRE  = regexp.MustCompile(`^\[[^\]]*\]\s*`)
)

// parseMail reads the lines of a mail up to its diff and returns the index of
// the first line after the message.
func parseMail(file string, lines []string, list *diag.List) (m Mail, rest int) {
	if len(lines) == 0 || lines[0] == "" {
		list.Addf(file, 0, "the file is empty")
		return m, 0
	}
	if strings.HasSuffix(lines[0], "\r") {
		*list = append(*list, diag.Diag{File: file, Line: 1, Msg: "the mail has CRLF line ends: it was changed on its way", Hint: "get the file anew; a mail program must not touch it"})
		return m, len(lines)
	}
	i := 0
	if fromRE.MatchString(lines[0]) {
		i = 1
		m.style.commit = strings.Trim(strings.Fields(lines[0])[1], "0") != ""
	} else {
		*list = append(*list, diag.Diag{File: file, Line: 1, Msg: `not a git format-patch mail: it does not begin with "From <commit> Mon Sep 17 00:00:00 2001"`,
			Hint: "make it with kernlab series export"})
		return m, len(lines)
	}
	i = m.parseHeaders(file, lines, i, list)
	start := i
	for i < len(lines) && !patchBreak(lines[i]) {
		if fromRE.MatchString(lines[i]) {
			list.Addf(file, i+1, "a second mail begins here; a file holds one patch")
			return m, len(lines)
		}
		i++
	}
	m.parseMessage(lines[start:i], start+1)
	return m, i
}

func (m *Mail) parseHeaders(file string, lines []string, i int, list *diag.List) int {
	values, where := map[string]string{}, map[string]int{}
	last := ""
	for ; i < len(lines) && lines[i] != ""; i++ {
		if h := headerRE.FindStringSubmatch(lines[i]); h != nil {
			last = strings.ToLower(h[1])
			if where[last] != 0 {
				list.Addf(file, i+1, "header %s is given twice", h[1])
			}
			values[last], where[last] = h[2], i+1
		} else if (lines[i][0] == ' ' || lines[i][0] == '\t') && last != "" {
			values[last] += " " + strings.TrimSpace(lines[i])
		} else {
			list.Addf(file, i+1, "%q is no mail header; an empty line ends the headers", clip(lines[i]))
			return i
		}
	}
	for _, name := range []string{"From", "Date", "Subject"} {
		if values[strings.ToLower(name)] == "" {
			list.Addf(file, 1, "the mail has no %s header", name)
		}
	}
	if e := strings.ToLower(values["content-transfer-encoding"]); e != "" && e != "8bit" && e != "7bit" {
		*list = append(*list, diag.Diag{File: file, Line: where["content-transfer-encoding"], Msg: "the mail is encoded as " + e,
			Hint: "a mail program did that; export the commit again"})
	}
	if from := values["from"]; from != "" {
		addr, err := parseAddress(from)
		if err != nil {
			list.Addf(file, where["from"], "From: %v", err)
		} else {
			m.Author, m.Email = addr.Name, addr.Address
		}
	}
	if date := values["date"]; date != "" {
		var err error
		if m.Date, err = mail.ParseDate(date); err != nil {
			list.Addf(file, where["date"], "%q is no date like Mon, 2 Jan 2006 15:04:05 -0700", date)
		}
		_, offset := m.Date.Zone()
		m.style.dateUTC, m.style.dateLine = offset == 0, where["date"]
	}
	m.Subject, m.style.prefix = decodeSubject(values["subject"])
	m.SubjectLine = where["subject"]
	return i
}

// parseAddress reads "name <address>". net/mail is stricter than git about
// what a name may hold, so a plain name is cut off by hand.
func parseAddress(s string) (*mail.Address, error) {
	if a, err := mail.ParseAddress(s); err == nil {
		return a, nil
	}
	name, rest, ok := strings.Cut(s, "<")
	addr, after, ok2 := strings.Cut(rest, ">")
	if !ok || !ok2 || strings.TrimSpace(after) != "" || addr == "" {
		return nil, fmt.Errorf("%q is no author like Name <address>", s)
	}
	dec, err := new(mime.WordDecoder).DecodeHeader(strings.TrimSpace(name))
	if err != nil {
		dec = strings.TrimSpace(name)
	}
	return &mail.Address{Name: dec, Address: addr}, nil
}

// decodeSubject returns a subject without the "[PATCH]" that git am takes off,
// and what it took off.
func decodeSubject(s string) (subject, prefix string) {
	if dec, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
		s = dec
	}
	whole := s
	for prefixRE.MatchString(s) {
		s = prefixRE.ReplaceAllString(s, "")
	}
	return strings.TrimSpace(s), strings.TrimSpace(strings.TrimSuffix(whole, s))
}

// parseMessage splits the lines of a message, the first of which is line
// number at of the file, into body and trailers.
func (m *Mail) parseMessage(lines []string, at int) {
	trimmed := make([]string, len(lines))
	for i, l := range lines {
		trimmed[i] = strings.TrimRight(l, " \t\r")
	}
	lines = trimmed
	for len(lines) > 0 && lines[0] == "" {
		lines, at = lines[1:], at+1
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	m.BodyLine = at
	m.text = collapse(lines)
	last := len(lines)
	for last > 0 && lines[last-1] != "" {
		last--
	}
	m.TrailerLine = at + last
	if trailers, ok := parseTrailers(lines[last:], m.TrailerLine); ok {
		m.Trailers = trailers
		lines = lines[:last]
	}
	m.Body = strings.TrimRight(collapse(lines), "\n")
}

// collapse joins lines as git stores them: no two empty lines in a row.
func collapse(lines []string) string {
	var out []string
	for i, l := range lines {
		if l == "" && i > 0 && lines[i-1] == "" {
			continue
		}
		out = append(out, l)
	}
	return strings.Join(out, "\n")
}

// parseTrailers reads a paragraph of which every line is "Key: value" or, begun
// by white space, the continuation of one.
func parseTrailers(lines []string, at int) ([]Trailer, bool) {
	var trailers []Trailer
	for i, l := range lines {
		if t := trailerRE.FindStringSubmatch(l); t != nil {
			trailers = append(trailers, Trailer{Key: canonicalKey(t[1]), Value: t[2], Line: at + i, spelt: t[1]})
		} else if len(trailers) > 0 && (l[0] == ' ' || l[0] == '\t') {
			t := &trailers[len(trailers)-1]
			t.Value += " " + strings.TrimSpace(l)
		} else {
			return nil, false
		}
	}
	return trailers, len(trailers) > 0
}

func canonicalKey(key string) string {
	for _, k := range knownKeys {
		if strings.EqualFold(k, key) {
			return k
		}
	}
	return key
}

// patchBreak reports whether git takes a line of a mail for the end of the
// message.
func patchBreak(l string) bool {
	switch {
	case strings.HasPrefix(l, "diff -"), strings.HasPrefix(l, "Index: "):
		return true
	case strings.HasPrefix(l, "---"):
		rest := l[3:]
		return strings.TrimSpace(rest) == "" || (len(rest) > 1 && rest[0] == ' ' && rest[1] != ' ' && rest[1] != '\t')
	}
	return false
}

// clip shortens text that a diagnostic quotes.
func clip(s string) string {
	const most = 100
	s = strings.TrimRight(s, "\n")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
