package report

import (
	"encoding/json"
	"fmt"
	"io"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// Schema names the form of the JSON report, docs/report.schema.json. Within
// one number, fields are only ever added.
const Schema = "cloudkernel.report/1"

// Document is a JSON report: a run, and what was concluded from it.
type Document struct {
	Schema  string          `json:"schema"`
	Outcome outcome.Outcome `json:"outcome"`
	Count
	*result.Run
}

// JSON writes the report for programs.
func JSON(w io.Writer, r *result.Run) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(Document{Schema: Schema, Outcome: r.Outcome(), Count: CountOf(r), Run: r})
}

// ReadJSON reads a report that JSON wrote. Fields it does not know are left
// out: a newer kernlab may have added them.
func ReadJSON(rd io.Reader) (*result.Run, error) {
	var d Document
	dec := json.NewDecoder(rd)
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("not a JSON report: %w", err)
	}
	if d.Schema != Schema {
		return nil, fmt.Errorf("not a report this kernlab reads: its schema is %q, want %q", d.Schema, Schema)
	}
	if d.Run == nil {
		return nil, fmt.Errorf("not a JSON report: it holds no run")
	}
	return d.Run, nil
}
