// Package manpage writes manual pages from the commands themselves, so that
// the pages and --help cannot disagree: one page a command, in the macros of
// man(7).
//
// A command's long help is plain text with three forms, which pages keep:
// paragraphs, indented lines that stand as they are, and headings in capitals
// (EXIT STATUS) that begin a section.
package manpage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Pages returns the manual pages of root and all commands below it that are
// not hidden, by file name ("kernlab-boot.1").
func Pages(root *cobra.Command) map[string][]byte {
	pages := map[string][]byte{}
	for _, c := range visible(root) {
		pages[fileName(c)] = page(c)
	}
	return pages
}

// Write writes the pages to dir and removes what is there of commands that are
// no more.
func Write(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	pages := Pages(root)
	old, err := filepath.Glob(filepath.Join(dir, root.Name()+"*.1"))
	if err != nil {
		return err
	}
	for _, file := range old {
		name := filepath.Base(file)
		ours := name == root.Name()+".1" || strings.HasPrefix(name, root.Name()+"-")
		if pages[name] == nil && ours {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// visible returns c and all commands below it that help shows.
func visible(c *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{c}
	for _, sub := range children(c) {
		list = append(list, visible(sub)...)
	}
	return list
}

func children(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(s *cobra.Command) bool {
		return !s.IsAvailableCommand() || s.Name() == "help"
	})
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }
func fileName(c *cobra.Command) string { return pageName(c) + ".1" }

func page(c *cobra.Command) []byte {
	var p roff
	// No date: a page changes when what it says does.
	fmt.Fprintf(&p.b, ".TH %s 1 \"\" cloudkernel\n", escape(strings.ToUpper(pageName(c))))
	p.section("NAME")
	p.line(pageName(c) + " - " + c.Short)
	p.section("SYNOPSIS")
	p.line(`\fB` + escape(c.CommandPath()) + `\fR` + escape(strings.TrimPrefix(c.UseLine(), c.CommandPath())))

	long := c.Long
	if long == "" {
		long = c.Short
	}
	description, rest := splitSections(long)
	p.section("DESCRIPTION")
	p.text(description)
	if subs := children(c); len(subs) > 0 {
		p.section("COMMANDS")
		for _, s := range subs {
			p.item(reference(s), s.Short)
		}
	}
	p.flags("OPTIONS", c.NonInheritedFlags())
	p.flags("GLOBAL OPTIONS", c.InheritedFlags())
	p.text(rest)

	var see []string
	if c.HasParent() {
		see = append(see, reference(c.Parent()))
	}
	for _, s := range children(c) {
		see = append(see, reference(s))
	}
	if len(see) > 0 {
		p.section("SEE ALSO")
		p.raw(strings.Join(see, ",\n"))
	}
	return []byte(p.b.String())
}

func reference(c *cobra.Command) string { return `\fB` + escape(pageName(c)) + `\fR(1)` }

// roff is text in the macros of man(7).
type roff struct{ b strings.Builder }

func (p *roff) section(title string) { fmt.Fprintf(&p.b, ".SH %s\n", title) }
func (p *roff) raw(s string)         { p.b.WriteString(s + "\n") }

// line writes one line of text; what is marked up already stays so.
func (p *roff) line(s string) {
	if !strings.HasPrefix(s, `\fB`) {
		s = escape(s)
	}
	p.raw(s)
}

func (p *roff) item(head, text string) { p.raw(".TP\n" + head + "\n" + escape(text)) }

// text writes paragraphs, and indented lines as they stand.
func (p *roff) text(s string) {
	asIs, first := false, true
	for _, line := range strings.Split(strings.Trim(s, "\n"), "\n") {
		indented := strings.HasPrefix(line, "  ")
		switch {
		case strings.TrimSpace(line) == "":
			if !asIs {
				first = true
				continue
			}
			p.raw("")
			continue
		case heading(line):
			p.close(&asIs)
			p.section(line)
			first = false
			continue
		case indented && !asIs:
			p.raw(".PP\n.RS 2\n.nf")
			asIs = true
		case !indented && asIs:
			p.close(&asIs)
			first = true
		}
		if first && !asIs {
			p.raw(".PP")
			first = false
		}
		if asIs {
			line = strings.TrimPrefix(line, "  ")
		}
		p.raw(escape(line))
	}
	p.close(&asIs)
}

func (p *roff) close(asIs *bool) {
	if *asIs {
		p.raw(".fi\n.RE")
		*asIs = false
	}
}

func (p *roff) flags(title string, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	p.section(title)
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		head := `\fB` + escape("--"+f.Name) + `\fR`
		if f.Shorthand != "" {
			head = `\fB` + escape("-"+f.Shorthand) + `\fR, ` + head
		}
		switch {
		case value == "":
		case f.NoOptDefVal != "":
			head += `[=\fI` + escape(value) + `\fR]`
		default:
			head += ` \fI` + escape(value) + `\fR`
		}
		if !slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) && !strings.Contains(usage, "default") {
			usage += " (default " + f.DefValue + ")"
		}
		p.item(head, usage)
	})
}

// splitSections cuts a long help before its first heading.
func splitSections(s string) (before, from string) {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if heading(l) {
			return strings.Join(lines[:i], "\n"), strings.Join(lines[i:], "\n")
		}
	}
	return s, ""
}

// heading reports whether a line is nothing but words in capitals.
func heading(line string) bool {
	letters := 0
	for _, r := range line {
		switch {
		case unicode.IsUpper(r):
			letters++
		case r != ' ':
			return false
		}
	}
	return letters > 2 && line[0] != ' '
}

// escape makes text safe from roff: backslashes, hyphens that are to stay
// what they are, and characters that mean something at a line's start.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
