package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// The elements of JUnit XML that GitHub's actions, GitLab and Jenkins read
// alike. Order and names are those of Jenkins' junit-10.xsd.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitSum
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSum struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"` // seconds
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitSum
		Timestamp  string          `xml:"timestamp,attr,omitempty"` // ISO 8601
		Properties []junitProperty `xml:"properties>property,omitempty"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name      string         `xml:"name,attr"`
		Class     string         `xml:"classname,attr"`
		Time      string         `xml:"time,attr"`
		Skipped   *junitVerdict  `xml:"skipped"`
		Error     *junitVerdict  `xml:"error"`
		Failure   *junitVerdict  `xml:"failure"`
		SystemOut *junitCharData `xml:"system-out"`
	}
	junitVerdict struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
		Text    string `xml:",cdata"`
	}
	junitCharData struct {
		Text string `xml:",cdata"`
	}
)

// JUnit writes the report for CI systems: one suite a kernel, one testcase a
// case, so that its numbers are those of the other reports. The class name is
// the kernel and the topic, which groups a topic's cases. Subtests are told in
// the case's text. A failure of the laboratory itself is an error, every other
// bad end a failure.
func JUnit(w io.Writer, r *result.Run) error {
	all := junitSuites{Name: "cloudkernel"}
	at := map[string]int{}
	for i := range r.Cases {
		c := &r.Cases[i]
		lane := c.Arch + "-" + c.Profile
		n, ok := at[lane]
		if !ok {
			n = len(all.Suites)
			at[lane] = n
			all.Suites = append(all.Suites, junitSuite{Name: lane, Properties: junitProperties(r, c)})
		}
		s := &all.Suites[n]
		if s.Timestamp == "" {
			started := c.Started
			if started.IsZero() {
				started = r.Started
			}
			s.Timestamp = started.UTC().Format("2006-01-02T15:04:05")
		}
		s.Cases = append(s.Cases, junitOf(c, lane))
	}
	var total time.Duration
	for n := range all.Suites {
		s := &all.Suites[n]
		var sum time.Duration
		for i := range r.Cases {
			if c := &r.Cases[i]; c.Arch+"-"+c.Profile == s.Name {
				sum += c.Duration
			}
		}
		s.junitSum = junitAdd(s.Cases, sum)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Skipped += s.Skipped
		total += sum
	}
	all.Time = junitSeconds(total)

	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitProperties(r *result.Run, c *result.Case) []junitProperty {
	var list []junitProperty
	for _, k := range r.Kernels {
		if k.Arch == c.Arch && k.Profile == c.Profile {
			list = append(list, junitProperty{"kernel", xmlText(k.Release)}, junitProperty{"key", k.Key})
		}
	}
	if r.Machine != "" {
		list = append(list, junitProperty{"machine", xmlText(r.Machine)})
	}
	return list
}

func junitAdd(cases []junitCase, d time.Duration) junitSum {
	sum := junitSum{Tests: len(cases), Time: junitSeconds(d)}
	for _, c := range cases {
		switch {
		case c.Error != nil:
			sum.Errors++
		case c.Failure != nil:
			sum.Failures++
		case c.Skipped != nil:
			sum.Skipped++
		}
	}
	return sum
}

func junitOf(c *result.Case, lane string) junitCase {
	class := lane
	if topic, _, ok := strings.Cut(c.Name, "/"); ok {
		class += "." + topic
	}
	jc := junitCase{Name: xmlText(c.Name), Class: xmlText(class), Time: junitSeconds(c.Duration)}
	reason := c.Reason
	if reason == "" {
		reason = string(c.Outcome)
	}
	v := &junitVerdict{Type: string(c.Outcome), Message: xmlText(clean(reason))}
	switch {
	case !c.Bad() && c.Outcome.Bad():
		v.Type = ""
		v.Message = xmlText("known failure: " + c.Known.Reason + " " + c.Known.Link)
		jc.Skipped = v
	case c.Outcome == outcome.Skip:
		v.Type = ""
		jc.Skipped = v
	case c.Outcome == outcome.Infra:
		v.Text = xmlText(Details(c))
		jc.Error = v
	case c.Bad():
		v.Text = xmlText(Details(c))
		jc.Failure = v
	case len(c.Subtests) > 0:
		jc.SystemOut = &junitCharData{xmlText(subtestCount(c) + "\n")}
	}
	return jc
}

func junitSeconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// xmlText makes a string one that XML 1.0 can hold (its Char production):
// characters it cannot are written as \xNN, broken UTF-8 too. The markup
// characters are the encoder's work.
func xmlText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\x%02x`, r)
		}
		i += n
	}
	return b.String()
}
