package hotbuild

import (
	"bytes"
	"fmt"
	"strings"
)

// cmdFile is what kbuild recorded about a target in its .cmd file
// (scripts/Kbuild.include, scripts/basic/fixdep.c).
type cmdFile struct {
	target string // below the build directory
	source string // as the compiler was given it; "" if none was recorded
	text   string // the command, for the shell
	deps   []string
}

// parseCmd reads a .cmd file.
func parseCmd(data []byte) (*cmdFile, error) {
	c := &cmdFile{}
	inDeps := false
	for line := range bytes.Lines(data) {
		l := strings.TrimRight(string(line), "\n")
		if inDeps {
			dep := strings.TrimSpace(strings.TrimSuffix(l, "\\"))
			if dep != "" && !strings.HasPrefix(dep, "$(") {
				c.deps = append(c.deps, dep)
			}
			inDeps = strings.HasSuffix(l, "\\")
			continue
		}
		key, value, ok := strings.Cut(l, " := ")
		switch {
		case !ok:
		case strings.HasPrefix(key, "savedcmd_"), strings.HasPrefix(key, "cmd_"):
			_, c.target, _ = strings.Cut(key, "cmd_")
			c.text = unmake(value)
		case strings.HasPrefix(key, "source_"):
			c.source = value
		case strings.HasPrefix(key, "deps_"):
			inDeps = strings.HasSuffix(value, "\\")
		}
	}
	if c.target == "" {
		return nil, fmt.Errorf("no command is recorded in it")
	}
	if c.source != "" {
		c.deps = append(c.deps, c.source)
	}
	return c, nil
}

// unmake undoes how kbuild makes a command safe for make.
func unmake(s string) string {
	return strings.NewReplacer("$(pound)", "#", "$$", "$").Replace(s)
}

// args splits the first command of the text into words as a shell would. What
// only a shell could run is an error.
func (c *cmdFile) args() ([]string, error) {
	var words []string
	var word strings.Builder
	started := false
	end := func() {
		if started {
			words = append(words, word.String())
			word.Reset()
			started = false
		}
	}
	s := c.text
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; ch {
		case ' ', '\t', '\n':
			end()
		case ';':
			end()
			return words, nil // what follows is done to the object afterwards
		case '\'':
			n := strings.IndexByte(s[i+1:], '\'')
			if n < 0 {
				return nil, fmt.Errorf("%s: unbalanced quotes in the recorded command", c.target)
			}
			word.WriteString(s[i+1 : i+1+n])
			started = true
			i += n + 1
		case '"':
			started = true
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\"\\$`", s[i+1]) >= 0 {
					i++
				} else if s[i] == '$' || s[i] == '`' {
					return nil, fmt.Errorf("%s: the recorded command needs a shell", c.target)
				}
				word.WriteByte(s[i])
			}
		case '\\':
			if i++; i < len(s) {
				word.WriteByte(s[i])
				started = true
			}
		case '|', '&', '<', '>', '`', '$', '(', ')':
			return nil, fmt.Errorf("%s: the recorded command needs a shell (%q in it)", c.target, ch)
		default:
			word.WriteByte(ch)
			started = true
		}
	}
	end()
	return words, nil
}
