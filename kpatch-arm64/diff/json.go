package diff

import (
	"encoding/json"
	"fmt"
	"io"
)

// Report is a Result as data for people and machines.
type Report struct {
	Changed  []Entry   `json:"changed"`
	New      []Entry   `json:"new"`
	Data     []Entry   `json:"data"`
	Removed  []string  `json:"removed"`
	Same     int       `json:"unchanged"`
	Refusals []Refusal `json:"refusals"`
	Notes    []string  `json:"notes"`
	Warnings []string  `json:"warnings"`
	Pinned   []string  `json:"pinned"`
}

// Entry is one function or datum of a Report.
type Entry struct {
	Name   string `json:"name"`
	Old    string `json:"replaces,omitempty"`
	Reason Reason `json:"reason"`
}

// Report returns the result as data.
func (r *Result) Report() Report {
	rep := Report{
		Changed: []Entry{}, New: []Entry{}, Data: []Entry{}, Same: r.Same,
		Removed:  append([]string{}, r.Removed...),
		Refusals: append([]Refusal{}, r.Refusals...), Notes: append([]string{}, r.Notes...),
		Warnings: append([]string{}, r.Warnings...), Pinned: append([]string{}, r.Pinned...),
	}
	for _, f := range r.Changed {
		rep.Changed = append(rep.Changed, Entry{f.Name, f.Old, f.Reason})
	}
	for _, f := range r.New {
		rep.New = append(rep.New, Entry{f.Name, "", f.Reason})
	}
	for _, d := range r.Data {
		rep.Data = append(rep.Data, Entry{d.Name, "", d.Reason})
	}
	return rep
}

// JSON writes the report as one JSON object.
func (r Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// Text writes the report for people: a line for everything, and the reasons
// below it if explain is set.
func (r Report) Text(w io.Writer, explain bool) {
	if len(r.Changed)+len(r.New)+len(r.Data)+len(r.Refusals)+len(r.Warnings) == 0 {
		fmt.Fprintf(w, "nothing to do: the %d functions are the same\n", r.Same)
	}
	for _, l := range []struct {
		label string
		list  []Entry
	}{{"changed", r.Changed}, {"new", r.New}, {"data", r.Data}} {
		for _, e := range l.list {
			name := e.Name
			if e.Old != "" && e.Old != e.Name {
				name += " (now " + e.Old + ")"
			}
			fmt.Fprintf(w, "%-8s %s\n", l.label, name)
			if explain {
				for _, line := range e.Reason.lines() {
					fmt.Fprintf(w, "           %s\n", line)
				}
			}
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note     %s\n", n)
	}
	for _, n := range r.Warnings {
		fmt.Fprintf(w, "warning  %s\n", n)
	}
	for _, n := range r.Pinned {
		fmt.Fprintf(w, "note     %s: if the kernel keeps it, the module must stay loaded after a revert\n", n)
	}
	for _, f := range r.Refusals {
		fmt.Fprintf(w, "refused  %v\n", f)
	}
}

// lines returns the reason as one or more lines of text.
func (r Reason) lines() []string {
	at := fmt.Sprintf("at +%#x", r.Off)
	if r.Off < 0 {
		at = fmt.Sprintf("at -%#x", -r.Off)
	}
	if r.Line > 0 {
		at += fmt.Sprintf(", %s:%d", r.File, r.Line)
	}
	var head string
	switch r.Why {
	case WhyInstruction:
		head = "first different instruction " + at
	case WhyReference:
		head = "first different reference " + at
	case WhySize:
		head = "longer or shorter " + at
	case WhyTable:
		head = "what a table says differs " + at
	case WhyPart:
		head = "its part " + r.By + " changes " + at
	case WhyCallee:
		return []string{"calls " + r.By + ", which changes and has no patch site"}
	case WhyNew, WhyNeeded:
		return []string{"needed by " + r.By}
	case WhyForced:
		return []string{"asked for: " + r.By}
	}
	lines := []string{head}
	if r.Before != "" || r.After != "" {
		lines = append(lines, "- "+r.Before, "+ "+r.After)
	}
	return lines
}
