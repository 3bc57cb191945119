package cases

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"cloudkernel/tools/internal/yamlfile"
)

// Match is what must hold of a text.
type Match struct {
	Equals   *string `yaml:"equals"` // white space at both ends aside
	Contains Strings `yaml:"contains"`
	Lacks    Strings `yaml:"lacks"`
	Matches  Regexps `yaml:"matches"` // each in some place; ^ and $ are the ends of lines
}

// Regexps is a list of expressions that may be written as one.
type Regexps []*regexp.Regexp

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (l *Regexps) UnmarshalYAML(node ast.Node) error {
	var list Strings
	if err := list.UnmarshalYAML(node); err != nil {
		return err
	}
	for _, s := range list {
		re, err := regexp.Compile("(?m)" + s)
		if err != nil {
			return yamlfile.Bad(node, err)
		}
		*l = append(*l, re)
	}
	return nil
}

// Check returns what does not hold of a text, in one line, or "".
func (m *Match) Check(text string) string {
	if m == nil {
		return ""
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if m.Equals != nil && strings.TrimSpace(text) != strings.TrimSpace(*m.Equals) {
		return fmt.Sprintf("is %s, not %s", brief(text), brief(*m.Equals))
	}
	for _, s := range m.Contains {
		if !strings.Contains(text, s) {
			return fmt.Sprintf("lacks %s: it is %s", brief(s), brief(text))
		}
	}
	for _, s := range m.Lacks {
		if i := strings.Index(text, s); i >= 0 {
			return fmt.Sprintf("has %s: %s", brief(s), brief(lineAt(text, i)))
		}
	}
	for _, re := range m.Matches {
		if !re.MatchString(text) {
			return fmt.Sprintf("has no match of %s: it is %s", strings.TrimPrefix(re.String(), "(?m)"), brief(text))
		}
	}
	return ""
}

// empty reports whether m asks nothing.
func (m *Match) empty() bool {
	return m.Equals == nil && len(m.Contains)+len(m.Lacks)+len(m.Matches) == 0
}

// lineAt returns the line of text that byte i is in.
func lineAt(text string, i int) string {
	start := strings.LastIndexByte(text[:i], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	return line
}

// brief quotes a text, shortened to fit a line.
func brief(s string) string {
	const most = 120
	s = strings.TrimSpace(s)
	if s == "" {
		return "nothing"
	}
	if r := []rune(s); len(r) > most {
		s = string(r[:most/2]) + " … " + string(r[len(r)-most/2:])
	}
	return fmt.Sprintf("%q", s)
}
