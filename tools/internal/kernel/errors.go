package kernel

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"cloudkernel/tools/internal/outcome"
)

// BuildError is a build that failed. Error says the first thing the compiler,
// the linker or kbuild complained about, with the place in the patched source;
// Log holds everything.
type BuildError struct {
	First string   // "fs/proc/array.c:12:3: error: …" and the lines that belong to it
	More  int      // further errors in the log
	Log   string   // path of the full log
	Tail  []string // last lines of it
}

func (e *BuildError) Error() string {
	s := e.First
	if e.More > 0 {
		s += fmt.Sprintf("\n(and %d more)", e.More)
	}
	return s + "\nfull log: " + e.Log
}

// Format prints the last lines of the log too for %+v.
func (e *BuildError) Format(f fmt.State, verb rune) {
	_, _ = io.WriteString(f, e.Error())
	if verb == 'v' && f.Flag('+') {
		_, _ = io.WriteString(f, "\n"+strings.Join(e.Tail, "\n"))
	}
}

var (
	// gccError: ../fs/proc/array.c:12:3: error: …; also "fatal error" and the linker's "undefined reference".
	gccError = regexp.MustCompile(`^(\S+?):(\d+):(?:(\d+):)? (?:fatal )?error: `)
	ldError  = regexp.MustCompile(`(undefined reference to|multiple definition of|relocation truncated|: cannot find )`)
	anyError = regexp.MustCompile(`^(ERROR: |error: |\S+: error: |Error: |make(\[\d+\])?: \*\*\* |FAILED|.*: command not found|.*: fatal error)`)
	gccNote  = regexp.MustCompile(`^(\S+?):(\d+):(?:(\d+):)? (warning|note|error|fatal error): |^In file included|^\S+: In function |^make`)
	gccWarn  = regexp.MustCompile(`^(\S+?:\d+:(?:\d+:)?) warning: (.*)$`)
	noSpace  = "No space left on device"
)

// explain reads the log from start on and returns what went wrong first.
func (k *kbuild) explain(start int64, cause error) error {
	log, err := os.Open(k.log.Name())
	if err != nil {
		return cause
	}
	defer log.Close()
	if _, err := log.Seek(start, io.SeekStart); err != nil {
		return cause
	}
	e, full := digest(log)
	e.Log = k.log.Name()
	if full {
		return outcome.Errorf(outcome.Infra, "the disk is full: %s; 'kernlab cache gc' makes room\nfull log: %s", noSpace, e.Log)
	}
	if e.First == "" {
		e.First = fmt.Sprintf("make failed without a message: %v", cause)
	}
	return e
}

// digest finds the first error of a log, and whether the disk was full.
func digest(log io.Reader) (e *BuildError, full bool) {
	e = &BuildError{}
	var first []string
	var weak string // an error of make's, which follows from another
	sc := bufio.NewScanner(log)
	sc.Buffer(make([]byte, 64<<10), 4<<20)
	collecting := false
	for sc.Scan() {
		line := sc.Text()
		full = full || strings.Contains(line, noSpace)
		if e.Tail = append(e.Tail, line); len(e.Tail) > 40 {
			e.Tail = e.Tail[1:]
		}
		strong := gccError.MatchString(line) || ldError.MatchString(line) || strings.HasPrefix(line, "ERROR: ")
		switch {
		case strong && first == nil:
			first, collecting = []string{nameOf(line)}, true
		case strong:
			e.More++
			collecting = false
		case collecting && len(first) < 6 && !gccNote.MatchString(line) && !strings.HasPrefix(line, "  CC") && strings.HasPrefix(line, " "):
			first = append(first, line)
		default:
			collecting = false
			if weak == "" && anyError.MatchString(line) {
				weak = line
			}
		}
	}
	e.First = strings.Join(first, "\n")
	if e.First == "" {
		e.First = weak
	}
	return e, full
}

// warnings returns the compiler's warnings in a log, each once, with paths
// relative to the source tree.
func warnings(log io.Reader) []string {
	var out []string
	seen := map[string]bool{}
	sc := bufio.NewScanner(log)
	sc.Buffer(make([]byte, 64<<10), 4<<20)
	for sc.Scan() {
		m := gccWarn.FindStringSubmatch(sc.Text())
		if m == nil {
			continue
		}
		w := nameOf(m[1]) + " warning: " + m[2]
		if !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	return out
}
