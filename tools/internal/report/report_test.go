package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"cloudkernel/tools/internal/golden"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

func TestText(t *testing.T) {
	good := &result.Run{Started: noon, Duration: 1500e6, Cases: sample().Cases[:2]}
	tests := []struct {
		name string
		run  *result.Run
		opt  TextOptions
	}{
		{"all", sample(), TextOptions{}},
		{"narrow", sample(), TextOptions{Width: 72}},
		{"color", &result.Run{Duration: 1e9, Cases: sample().Cases[1:3]}, TextOptions{Color: true, Width: 100}},
		{"good", good, TextOptions{Width: 100}},
		{"interrupted", &result.Run{Interrupted: true, Cases: good.Cases[:1]}, TextOptions{}},
		{"nothing", &result.Run{}, TextOptions{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := Text(&b, tt.run, tt.opt); err != nil {
				t.Fatal(err)
			}
			got := b.String()
			golden.Check(t, "testdata/"+tt.name+".txt", got)
			if i := strings.IndexFunc(strings.ReplaceAll(escapes.ReplaceAllString(got, ""), "\n", ""), func(r rune) bool { return r < ' ' }); i >= 0 {
				t.Errorf("a control character of the guest came through at %d", i)
			}
			closing := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
			if last := closing[len(closing)-1]; last != CountOf(tt.run).String() {
				t.Errorf("last line is %q, want the counts alone", last)
			}
		})
	}
}

// TestEveryFailureHelps: whatever a case that is not a pass holds is in the text.
func TestEveryFailureHelps(t *testing.T) {
	var b strings.Builder
	r := sample()
	if err := Text(&b, r, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Outcome == outcome.Pass {
			continue
		}
		for what, want := range map[string]string{"reason": c.Reason, "reproducer": c.Repro} {
			if want == "" || !strings.Contains(b.String(), want) {
				t.Errorf("%s: the text holds no %s %q", c.Name, what, want)
			}
		}
		if c.Log != "" && !strings.Contains(b.String(), c.Log) {
			t.Errorf("%s: the text does not say where the logs are", c.Name)
		}
	}
}

func TestNarrowTable(t *testing.T) {
	var b strings.Builder
	if err := Text(&b, sample(), TextOptions{Width: 100}); err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(b.String(), "\n\ntask-protect")
	for _, line := range strings.Split(table, "\n") {
		if w := runewidth.StringWidth(line); w > 100 {
			t.Errorf("%d columns wide: %s", w, line)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                     "plain",
		"\x1b[1;31mred\x1b[0m":      "red",
		"a\tb":                      "a       b",
		"12345678\tb":               "12345678        b",
		"bell\x07 back\x08 nul\x00": "bell back nul",
		"half \xff byte":            "half \ufffd byte",
		"über ✓":                    "über ✓",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, sample()); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/all.json", b.String())

	back, err := ReadJSON(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	// JSON holds no broken UTF-8: that byte, and only that, comes back replaced.
	want := sample()
	console := want.Cases[len(want.Cases)-1].Console
	console[0] = strings.ToValidUTF8(console[0], "\ufffd")
	if d := cmp.Diff(want, back); d != "" {
		t.Errorf("read back (-written +read):\n%s", d)
	}
}

// TestJSONSchema holds the documented schema against real reports, both ways:
// reports are valid, and a field that the schema does not know is not.
func TestJSONSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../../docs/report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*result.Run{"sample": sample(), "empty": {}, "interrupted": {Interrupted: true}} {
		var b bytes.Buffer
		if err := JSON(&b, r); err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(&b)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		doc.(map[string]any)["more"] = 1
		if err := schema.Validate(doc); err == nil {
			t.Errorf("%s: a field that is not documented is taken as valid", name)
		}
	}
}

// TestJSONSchemaKnowsAll: no field of a result is missing from the schema, set
// in the sample or not.
func TestJSONSchemaKnowsAll(t *testing.T) {
	data, err := os.ReadFile("../../../docs/report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if p, ok := v["properties"].(map[string]any); ok {
				for name := range p {
					documented[name] = true
				}
			}
			for _, below := range v {
				collect(below)
			}
		case []any:
			for _, below := range v {
				collect(below)
			}
		}
	}
	collect(schema)
	var check func(typ reflect.Type)
	check = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || !strings.HasPrefix(typ.PkgPath(), "cloudkernel/") {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && !documented[name] {
				t.Errorf("%s.%s is %q in a report, and docs/report.schema.json does not know it", typ, f.Name, name)
			}
			check(f.Type)
		}
	}
	check(reflect.TypeFor[Document]())
}

func TestReadJSONRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":        "<testsuites/>",
		"half":           `{"schema": "cloudkernel.report/1", "cases": [`,
		"another schema": `{"schema": "cloudkernel.report/2", "cases": []}`,
		"no schema":      `{"cases": []}`,
		"no run":         `{"schema": "cloudkernel.report/1"}`,
	} {
		if r, err := ReadJSON(strings.NewReader(text)); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
	if _, err := ReadJSON(strings.NewReader(`{"schema": "cloudkernel.report/1", "machine": "tcg", "newer": 1}`)); err != nil {
		t.Errorf("a report with a newer field: %v", err)
	}
}

func TestFeatures(t *testing.T) {
	cases := []result.Case{
		{Name: "a", Feature: "one", Outcome: outcome.Skip},
		{Name: "b", Outcome: outcome.Panic},
		{Name: "c", Feature: "two", Outcome: outcome.Pass},
		{Name: "d", Feature: "one", Outcome: outcome.Pass},
		{Name: "e", Feature: "two", Outcome: outcome.Hang},
		{Name: "f", Feature: "three", Outcome: outcome.Fail, Known: &result.Known{}},
	}
	var got []string
	for _, f := range Features(&result.Run{Cases: cases}) {
		got = append(got, f.Name+" "+string(f.Outcome))
	}
	if d := cmp.Diff([]string{"one pass", "two hang", "three fail"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestSinkWritesReports(t *testing.T) {
	dir := t.TempDir()
	o := Options{
		JSON:  filepath.Join(dir, "new/report.json"),
		JUnit: filepath.Join(dir, "report.xml"),
		KTAP:  "-",
	}
	var out, progress bytes.Buffer
	s, err := o.Sink(&out, &progress)
	if err != nil {
		t.Fatal(err)
	}
	r := sample()
	s.Event(result.Event{Kind: result.Planned, Total: 1})
	s.Event(result.Event{Kind: result.Started, Case: &r.Cases[0]})
	s.Event(result.Event{Kind: result.Finished, Case: &r.Cases[0]})
	if err := s.Close(r); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "KTAP version 1\n") {
		t.Errorf("the standard output begins with %q, want the KTAP report alone", head(lines(out.String()), 1))
	}
	if !strings.Contains(progress.String(), "pass  smoke/boot on arm64 default") {
		t.Errorf("the progress is %q", progress.String())
	}
	data, err := os.ReadFile(o.JSON)
	if err != nil || !json.Valid(data) {
		t.Errorf("the JSON report: %v, valid %v", err, json.Valid(data))
	}
	if data, err := os.ReadFile(o.JUnit); err != nil || !bytes.HasPrefix(data, []byte("<?xml")) {
		t.Errorf("the JUnit report: %v, %.20q", err, data)
	}
	for _, pattern := range []string{"*.part", ".report-*", "new/*.part"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); left != nil {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestSinkRefuses(t *testing.T) {
	var out bytes.Buffer
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"two on the standard output": {JSON: "-", KTAP: "-"},
		"below a file":               {JSON: filepath.Join(file, "report.json")},
		"a directory":                {JUnit: t.TempDir()},
	} {
		if s, err := o.Sink(&out, &out); err == nil {
			_ = s.Close(&result.Run{})
			t.Errorf("%s: taken", name)
		}
	}
	_, err := (&Options{JSON: filepath.Join(file, "x")}).Sink(&out, &out)
	var pathErr *os.PathError
	if !errors.As(err, &pathErr) || outcome.Of(err) != outcome.Infra {
		t.Errorf("error %v, outcome %s: want one that names the path, and infra", err, outcome.Of(err))
	}
}
