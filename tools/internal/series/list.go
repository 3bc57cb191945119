package series

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"cloudkernel/tools/internal/diag"
)

// listFile is the series file, line by line, so that export can write it back
// with its comments.
type listFile struct {
	lines []listLine
}

// listLine is one line of the series file: an entry, or a comment, or empty.
type listLine struct {
	text  string // the line without its end
	entry string // the patch it lists, "" if none
}

var (
	topicRE = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	patchRE = regexp.MustCompile(`^([0-9]{4})-[A-Za-z0-9][A-Za-z0-9._-]*\.patch$`)
)

// parseList reads a series file. Faulty lines are reported to list and kept as
// comments are.
func parseList(file string, data []byte, list *diag.List) *listFile {
	var lf listFile
	text := strings.TrimSuffix(string(data), "\n")
	if text == "" {
		return &lf
	}
	seen := map[string]int{}
	for i, raw := range strings.Split(text, "\n") {
		line := listLine{text: strings.TrimRight(raw, " \t\r")}
		name := line.text
		if name != "" && name[0] != '#' {
			if msg := faultOfName(name); msg != "" {
				list.Addf(file, i+1, "%s", msg)
			} else if first := seen[name]; first != 0 {
				list.Addf(file, i+1, "%s is listed a second time; line %d has it already", name, first)
			} else {
				seen[name] = i + 1
				line.entry = name
			}
		}
		lf.lines = append(lf.lines, line)
	}
	return &lf
}

// faultOfName says what is wrong with the name of a patch file, if anything.
func faultOfName(name string) string {
	topic, file, ok := strings.Cut(name, "/")
	switch {
	case !ok || strings.Contains(file, "/"):
		return strconv.Quote(name) + " is no patch: want <topic>/NNNN-subsystem-what.patch"
	case !topicRE.MatchString(topic):
		return strconv.Quote(topic) + " is no topic: want lower-case words joined by '-'"
	case !patchRE.MatchString(file):
		return strconv.Quote(file) + " is no patch file: want NNNN-subsystem-what.patch, in letters, digits, '.', '_' and '-'"
	}
	return ""
}

// splitName returns the topic and the number in the name of a patch file.
func splitName(name string) (topic string, number int) {
	topic, file := path.Split(name)
	if m := patchRE.FindStringSubmatch(file); m != nil {
		number, _ = strconv.Atoi(m[1])
	}
	return strings.TrimSuffix(topic, "/"), number
}
