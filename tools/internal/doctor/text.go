package doctor

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Text writes the report for people: what was found, what can be done with it,
// and the one command that brings the rest. With quiet it tells only what is
// not in order, and nothing when all is.
func (r *Report) Text(w io.Writer, quiet bool) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	machine := false
	for _, f := range r.Findings {
		if quiet && f.State == OK {
			continue
		}
		if (f.Group == Machine) != machine {
			machine = true
			_ = t.Flush() // each block with columns of its own
			if b.Len() > 0 {
				b.WriteString("\n")
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", mark(f), f.Name, found(f), f.Why)
	}
	_ = t.Flush()

	if quiet && b.Len() == 0 {
		return nil
	}
	b.WriteString("\nThis machine can\n")
	for _, v := range r.Verdicts {
		if v.OK {
			fmt.Fprintf(&b, "  yes  %s\n", v.Title)
		} else {
			fmt.Fprintf(&b, "  no   %s: lacks %s\n", v.Title, strings.Join(v.Lacks, ", "))
		}
	}

	var byHand []Finding
	for _, f := range r.Findings {
		if f.State != OK && f.Fix != "" && (len(f.Packages) == 0 || f.State == Old || !haveApt()) {
			byHand = append(byHand, f)
		}
	}
	if len(r.Install) > 0 && haveApt() {
		fmt.Fprintf(&b, "\nTo install what is missing: kernlab doctor --install\nwhich runs: %s\n", aptCommand(r.Install))
	}
	if len(byHand) > 0 {
		b.WriteString("\nTo do by hand\n")
		for _, f := range byHand {
			fmt.Fprintf(&b, "  %s: %s\n", f.Name, f.Fix)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func mark(f Finding) string {
	switch {
	case f.State == OK:
		return "ok"
	case f.Optional:
		return "(" + string(f.State) + ")"
	}
	return strings.ToUpper(string(f.State))
}

func found(f Finding) string {
	s := f.Found
	if s == "" && f.State == OK {
		s = "found"
	}
	if f.State != OK && f.Want != "" {
		s = strings.TrimPrefix(s+", ", ", ") + "wants " + f.Want
	}
	return s
}
