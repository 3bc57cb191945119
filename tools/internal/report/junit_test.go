package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cloudkernel/tools/internal/golden"
	"cloudkernel/tools/internal/result"
)

// junitForm is what the readers of JUnit XML agree on: for each element, the
// attributes it must and may have, and its children in their order.
var junitForm = map[string]struct {
	must, may, children []string
}{
	"testsuites": {[]string{}, []string{"name", "tests", "failures", "errors", "time", "disabled", "skipped"}, []string{"testsuite"}},
	"testsuite": {[]string{"name", "tests", "failures", "errors"},
		[]string{"skipped", "time", "timestamp", "hostname", "id", "package", "disabled"},
		[]string{"properties", "testcase", "system-out", "system-err"}},
	"properties": {nil, nil, []string{"property"}},
	"property":   {[]string{"name", "value"}, nil, nil},
	"testcase": {[]string{"name", "classname"}, []string{"time", "assertions", "status", "file", "line"},
		[]string{"skipped", "error", "failure", "system-out", "system-err"}},
	"skipped":    {nil, []string{"message", "type"}, nil},
	"error":      {nil, []string{"message", "type"}, nil},
	"failure":    {nil, []string{"message", "type"}, nil},
	"system-out": {nil, nil, nil},
}

func checkJUnit(doc []byte) error {
	type open struct {
		name string
		last int // index of the child seen last, in the form's order
	}
	var stack []open
	for dec := xml.NewDecoder(bytes.NewReader(doc)); ; {
		token, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.StartElement:
			name := e.Name.Local
			form, ok := junitForm[name]
			if !ok {
				return fmt.Errorf("<%s> is unknown", name)
			}
			if len(stack) == 0 && name != "testsuites" {
				return fmt.Errorf("the root is <%s>", name)
			}
			if len(stack) > 0 {
				parent := &stack[len(stack)-1]
				at := slices.Index(junitForm[parent.name].children, name)
				if at < parent.last {
					return fmt.Errorf("<%s> in <%s> is out of order or not allowed", name, parent.name)
				}
				parent.last = at
			}
			var seen []string
			for _, a := range e.Attr {
				seen = append(seen, a.Name.Local)
				if !slices.Contains(form.must, a.Name.Local) && !slices.Contains(form.may, a.Name.Local) {
					return fmt.Errorf("<%s %s> is unknown", name, a.Name.Local)
				}
				switch a.Name.Local {
				case "tests", "failures", "errors", "skipped":
					if _, err := strconv.ParseUint(a.Value, 10, 32); err != nil {
						return fmt.Errorf("<%s %s>: %w", name, a.Name.Local, err)
					}
				case "time":
					if _, err := strconv.ParseFloat(a.Value, 64); err != nil {
						return fmt.Errorf("<%s time>: %w", name, err)
					}
				}
			}
			for _, must := range form.must {
				if !slices.Contains(seen, must) {
					return fmt.Errorf("<%s> has no %s", name, must)
				}
			}
			stack = append(stack, open{name: name})
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		}
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	r := sample()
	if err := JUnit(&b, r); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/all.xml", b.String())
	if err := checkJUnit(b.Bytes()); err != nil {
		t.Error(err)
	}

	var back junitSuites
	if err := xml.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	n := CountOf(r)
	if back.Tests != len(r.Cases) || back.Failures+back.Errors != n.Failed || back.Skipped != n.Skipped {
		t.Errorf("%d tests, %d failures, %d errors, %d skipped; the run has %s", back.Tests, back.Failures, back.Errors, back.Skipped, n)
	}
	seen := 0
	for _, s := range back.Suites {
		seen += len(s.Cases)
		if s.Tests != len(s.Cases) {
			t.Errorf("suite %s says %d tests and has %d", s.Name, s.Tests, len(s.Cases))
		}
	}
	if seen != len(r.Cases) {
		t.Errorf("%d testcases, want %d", seen, len(r.Cases))
	}
}

func TestJUnitCheckCanFail(t *testing.T) {
	for _, doc := range []string{
		`<testsuite name="a" tests="0" failures="0" errors="0"/>`,
		`<testsuites><testsuite name="a" failures="0" errors="0"/></testsuites>`,
		`<testsuites><testsuite name="a" tests="x" failures="0" errors="0"/></testsuites>`,
		`<testsuites><testcase name="a" classname="b"/></testsuites>`,
		`<testsuites><testsuite name="a" tests="0" failures="0" errors="0"><testcase name="a" classname="b"><failure/><skipped/></testcase></testsuite></testsuites>`,
		`<testsuites colour="red"/>`,
		`<testsuites>`,
	} {
		if checkJUnit([]byte(doc)) == nil {
			t.Errorf("taken as valid: %s", doc)
		}
	}
}

func TestJUnitEmpty(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, &result.Run{}); err != nil {
		t.Fatal(err)
	}
	if err := checkJUnit(b.Bytes()); err != nil {
		t.Error(err)
	}
}

func TestXMLText(t *testing.T) {
	for in, want := range map[string]string{
		"plain\n\t": "plain\n\t",
		"\x1b[31m":  `\x1b[31m`,
		"\x00":      `\x00`,
		"a\xffb":    `a\xffb`,
		"\ufffe":    `\xfffe`,
		"<&>\"'":    "<&>\"'",
		"\u00e9 😀":  "\u00e9 😀",
	} {
		if got := xmlText(in); got != want {
			t.Errorf("xmlText(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzJUnit gives a case any text at all: the report stays well-formed XML.
func FuzzJUnit(f *testing.F) {
	f.Add("smoke/boot", "BUG: \x00\x1b[31m ]]> \xff\xfe", "line <&>")
	f.Fuzz(func(t *testing.T, name, reason, console string) {
		r := &result.Run{Cases: []result.Case{{Name: name, Outcome: "panic", Reason: reason,
			Console: strings.Split(console, "\n"), Arch: "arm64", Profile: "default"}}}
		var b bytes.Buffer
		if err := JUnit(&b, r); err != nil {
			t.Fatal(err)
		}
		if err := checkJUnit(b.Bytes()); err != nil {
			t.Errorf("%v in\n%s", err, b.Bytes())
		}
	})
}
