package series

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"cloudkernel/tools/internal/diag"
)

// FileDiff is what a patch does to one file.
type FileDiff struct {
	*gitdiff.File
	Line  int    // line of "diff --git" in the patch file
	Hunks []Hunk // of TextFragments, one for one
}

// Hunk is a part of a FileDiff with the line of its "@@" in the patch file.
type Hunk struct {
	*gitdiff.TextFragment
	Line int
}

// Name returns the path that the file has after the patch, or had before when
// the patch removes it.
func (d *FileDiff) Name() string {
	if d.IsDelete {
		return d.OldName
	}
	return d.NewName
}

// Stat returns how many lines are added and deleted.
func (d *FileDiff) Stat() (added, deleted int) {
	for _, h := range d.Hunks {
		added += int(h.LinesAdded)
		deleted += int(h.LinesDeleted)
	}
	return added, deleted
}

// parsePatch fills p from the bytes of its file.
func parsePatch(p *Patch, data []byte, list *diag.List) {
	p.Data = data
	before := len(*list)
	if i := bytes.IndexByte(data, 0); i >= 0 {
		list.Addf(p.File, 1+bytes.Count(data[:i], []byte("\n")), "the file holds a zero byte: it is no text")
		return
	}
	lines := strings.SplitAfter(string(data), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	} else {
		*list = append(*list, diag.Diag{File: p.File, Line: len(lines), Msg: "the file does not end with a line end: it was cut off", Hint: "get it anew"})
		return
	}
	bare := make([]string, len(lines))
	for i, l := range lines {
		bare[i] = strings.TrimSuffix(l, "\n")
	}
	var rest int
	p.Mail, rest = parseMail(p.File, bare, list)
	if len(*list) > before {
		return
	}
	for rest < len(bare) && !strings.HasPrefix(bare[rest], "diff --git ") {
		if p.style.text == 0 {
			p.style.text = rest + 1
		}
		rest++ // "---", a diffstat, notes: git am reads over them too
	}
	if rest == len(bare) {
		list.Addf(p.File, 0, "the patch changes nothing: it has no diff")
		return
	}
	parseDiffs(p, lines, rest, list)
}

var gitdiffLineRE = regexp.MustCompile(`^gitdiff: line (\d+): (.*)$`)

// parseDiffs parses the diffs in lines[from:].
func parseDiffs(p *Patch, lines []string, from int, list *diag.List) {
	files, _, err := gitdiff.Parse(strings.NewReader(strings.Join(lines[from:], "")))
	if err != nil {
		msg, line := err.Error(), 0
		if m := gitdiffLineRE.FindStringSubmatch(msg); m != nil {
			n, _ := strconv.Atoi(m[1])
			line, msg = from+n, m[2]
		}
		d := diag.Diag{File: p.File, Line: min(line, len(lines)), Msg: "the diff is malformed: " + msg}
		if strings.Contains(msg, "miscounts") {
			d.Hint = "a hunk that was edited by hand needs its counts in @@ corrected; better edit in kernlab tree"
		}
		*list = append(*list, d)
		return
	}
	// gitdiff keeps no line numbers and reads over what it does not know, so
	// the lines are walked again beside what it found.
	at := from
	for _, f := range files {
		d := &FileDiff{File: f}
		for at < len(lines) && !strings.HasPrefix(lines[at], "diff --git ") {
			list.Addf(p.File, at+1, "%q is no part of a diff: a hunk was changed without its counts in @@, or text was added by hand", clip(lines[at]))
			return
		}
		d.Line = at + 1
		for at++; at < len(lines) && isHeader(lines[at]); at++ {
		}
		for _, frag := range f.TextFragments {
			if at >= len(lines) || !strings.HasPrefix(lines[at], "@@ -") {
				list.Addf(p.File, min(at+1, len(lines)), "the diff of %s is malformed here", d.Name())
				return
			}
			h := Hunk{TextFragment: frag, Line: at + 1}
			if err := checkFragment(frag); err != nil {
				list.Addf(p.File, h.Line, "the diff is malformed: %v", err)
				return
			}
			d.Hunks = append(d.Hunks, h)
			at++
			for range frag.Lines {
				at++
				for at < len(lines) && strings.HasPrefix(lines[at], `\ `) {
					at++
				}
			}
		}
		if f.IsBinary || f.BinaryFragment != nil {
			*list = append(*list, diag.Diag{File: p.File, Line: d.Line, Msg: d.Name() + " is binary: a patch of the series is text that people review",
				Hint: "generate the file at build time, or write it as text"})
			return
		}
		if msg := faultOfDiff(d); msg != "" {
			list.Addf(p.File, d.Line, "%s", msg)
			return
		}
		p.Diffs = append(p.Diffs, d)
	}
	if at < len(lines) && strings.TrimRight(lines[at], "\n") == "-- " {
		p.style.sig = at + 1
		return // format-patch's signature, which git am reads over
	}
	for ; at < len(lines); at++ {
		if strings.TrimSpace(lines[at]) != "" {
			list.Addf(p.File, at+1, "%q stands after the diff and is no part of it: a hunk was changed without its counts in @@?", clip(lines[at]))
			return
		}
	}
}

// isHeader reports whether a line belongs to the header of a file's diff.
func isHeader(l string) bool {
	for _, p := range []string{"--- ", "+++ ", "old mode ", "new mode ", "deleted file mode ", "new file mode ",
		"copy from ", "copy to ", "rename from ", "rename to ", "similarity index ", "dissimilarity index ", "index "} {
		if strings.HasPrefix(l, p) {
			return true
		}
	}
	return false
}

func checkFragment(f *gitdiff.TextFragment) error {
	if f.OldPosition < 0 || f.NewPosition < 0 || f.OldLines < 0 || f.NewLines < 0 {
		return fmt.Errorf("a negative number in @@")
	}
	return f.Validate()
}

// Modes as git writes them.
const (
	gitRegular = 0o100644
	gitExec    = 0o100755
	gitSymlink = 0o120000
)

// fileMode turns a git mode into Go's. ok is false for what a kernel tree must
// not hold: submodules, devices.
func fileMode(git fs.FileMode) (mode fs.FileMode, ok bool) {
	switch git {
	case gitRegular, 0o100664:
		return 0o644, true
	case gitExec, 0o100775:
		return 0o755, true
	case gitSymlink:
		return fs.ModeSymlink | 0o777, true
	}
	return 0, false
}

// faultOfDiff says what makes a diff unusable before it meets a tree.
func faultOfDiff(d *FileDiff) string {
	var names []string
	if !d.IsNew {
		names = append(names, d.OldName)
	}
	if !d.IsDelete {
		names = append(names, d.NewName)
	}
	for _, n := range names {
		if !fs.ValidPath(n) || n == "." || path.Base(n) == ".git" || strings.HasPrefix(n, ".git/") || strings.Contains(n, "/.git/") {
			return fmt.Sprintf("%q is no path inside a source tree", n)
		}
		if strings.ContainsFunc(n, func(r rune) bool { return r < ' ' || r == 0x7f || r == '"' || r == '\\' }) {
			return fmt.Sprintf("%q: a path with control characters, quotes or backslashes has no place in a source tree", n)
		}
	}
	if !d.IsNew && !d.IsDelete && !d.IsRename && !d.IsCopy && d.OldName != d.NewName {
		return fmt.Sprintf("the diff is of %s and of %s, and says of no rename", d.OldName, d.NewName)
	}
	for _, m := range []fs.FileMode{d.OldMode, d.NewMode} {
		if _, ok := fileMode(m); m != 0 && !ok {
			return fmt.Sprintf("mode %o of %s is not one of 100644, 100755 and 120000", uint32(m), d.Name())
		}
	}
	if d.IsNew && d.NewMode == 0 {
		return fmt.Sprintf("%s is new, but no \"new file mode\" line says its mode", d.NewName)
	}
	if len(d.Hunks) == 0 && !d.IsNew && !d.IsDelete && !d.IsRename && !d.IsCopy && d.NewMode == 0 {
		return fmt.Sprintf("nothing is said to change in %s", d.Name())
	}
	return ""
}
