package series

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"cloudkernel/tools/internal/diag"
)

// image is a file that hunks are applied to. A line that a hunk wrote is marked,
// because git lets no later hunk of the same diff stand on it.
type image struct {
	lines   []string
	written []bool
}

// applyHunks applies the hunks of d to the lines of a file and returns the new
// lines, or false after it reported what does not apply.
func applyHunks(p *Patch, d *FileDiff, lines []string, faults, notes *diag.List) ([]string, bool) {
	if len(d.Hunks) == 0 {
		return lines, true
	}
	img := &image{lines: slices.Clone(lines), written: make([]bool, len(lines))}
	ok := true
	for i, h := range d.Hunks {
		old, now := sides(h.TextFragment)
		want := max(int(h.NewPosition)-1, 0)
		at := img.find(old, want, anchored(h.TextFragment))
		if at < 0 {
			ok = false
			*faults = append(*faults, explain(p, d, i, img, old))
			continue
		}
		if at != want && !(h.OldPosition == 0 && at == 0) && len(old) > 0 {
			notes.Addf(p.File, h.Line, "hunk %d of %s applies %s", i+1, d.Name(), shift(at-want))
		}
		img.replace(at, len(old), now)
	}
	return img.lines, ok
}

func shift(by int) string {
	way, n := "down", by
	if by < 0 {
		way, n = "up", -by
	}
	if n == 1 {
		return "1 line further " + way
	}
	return fmt.Sprintf("%d lines further %s", n, way)
}

// sides returns the lines a hunk expects and the lines it leaves.
func sides(f *gitdiff.TextFragment) (old, now []string) {
	for _, l := range f.Lines {
		if l.Old() {
			old = append(old, l.Line)
		}
		if l.New() {
			now = append(now, l.Line)
		}
	}
	return old, now
}

// anchor says where a hunk must lie.
type anchor struct{ begin, end bool }

// anchored returns git's rule (apply.c): a hunk that starts at line 1 or before
// must match at the file's beginning, and one without trailing context at its
// end. Such a hunk may not move, for nothing shows that it moved rightly.
func anchored(f *gitdiff.TextFragment) anchor {
	return anchor{begin: f.OldPosition <= 1, end: f.TrailingContext == 0}
}

// find returns the line, counted from 0, at which all of old stands: want if
// it does there, else the nearest one, further down first. It returns -1 when
// there is none.
func (img *image) find(old []string, want int, a anchor) int {
	last := len(img.lines) - len(old)
	switch {
	case last < 0:
		return -1
	case a.begin && a.end && last != 0:
		return -1
	case a.begin:
		return img.try(old, 0)
	case a.end:
		return img.try(old, last)
	}
	want = min(want, len(img.lines))
	for by := 0; by <= len(img.lines); by++ {
		if at := want + by; at <= last && img.matches(old, at) {
			return at
		}
		if at := want - by; by > 0 && at >= 0 && at <= last && img.matches(old, at) {
			return at
		}
	}
	return -1
}

func (img *image) try(old []string, at int) int {
	if img.matches(old, at) {
		return at
	}
	return -1
}

func (img *image) matches(old []string, at int) bool {
	for i, l := range old {
		if img.lines[at+i] != l || img.written[at+i] {
			return false
		}
	}
	return true
}

func (img *image) replace(at, n int, now []string) {
	img.lines = slices.Replace(img.lines, at, at+n, now...)
	written := make([]bool, len(now))
	for i := range written {
		written[i] = true
	}
	img.written = slices.Replace(img.written, at, at+n, written...)
}

// explain says why a hunk does not apply: it looks where most of its lines
// stand, the place the patch names first, and quotes the first line that
// differs there.
func explain(p *Patch, d *FileDiff, i int, img *image, old []string) diag.Diag {
	h := d.Hunks[i]
	want := min(max(int(h.NewPosition)-1, 0), len(img.lines))
	best, bestN := want, -1
	score := func(at int) int {
		n := 0
		for k, l := range old {
			if at+k < len(img.lines) && img.lines[at+k] == l {
				n++
			}
		}
		return n
	}
	for by := 0; by <= len(img.lines); by++ {
		for _, at := range []int{want + by, want - by} {
			if at < 0 || at > len(img.lines) || (by == 0 && bestN >= 0) {
				continue
			}
			if n := score(at); n > bestN {
				best, bestN = at, n
			}
		}
	}
	head := fmt.Sprintf("does not apply to %s: hunk %d (@@ -%d,%d +%d,%d @@)", d.OldName, i+1, h.OldPosition, h.OldLines, h.NewPosition, h.NewLines)
	out := diag.Diag{File: p.File, Line: h.Line}
	k := 0
	for k < len(old) && best+k < len(img.lines) && img.lines[best+k] == old[k] && !img.written[best+k] {
		k++
	}
	if k == len(old) {
		where := "beginning"
		if !anchored(h.TextFragment).begin {
			where = "end"
		}
		out.Msg = fmt.Sprintf("%s: its lines stand at line %d, the patch wants them at the %s of the file", head, best+1, where)
		return out
	}
	out.Line = h.lineOf(k)
	switch {
	case best+k >= len(img.lines):
		out.Msg = fmt.Sprintf("%s: the patch expects %s, the file ends at line %d", head, quote(old[k]), best+k)
	case img.lines[best+k] == old[k]:
		out.Msg = fmt.Sprintf("%s: the patch expects %s, which an earlier hunk of it wrote at line %d: the hunks overlap", head, quote(old[k]), best+k+1)
	default:
		out.Msg = fmt.Sprintf("%s: the patch expects %s, line %d has %s", head, quote(old[k]), best+k+1, quote(img.lines[best+k]))
	}
	return out
}

// lineOf returns where in the patch file the hunk's old line k stands.
func (h Hunk) lineOf(k int) int {
	at := h.Line
	for _, l := range h.Lines {
		at++
		if l.Old() {
			if k == 0 {
				return at
			}
			k--
		}
		if l.NoEOL() {
			at++
		}
	}
	return h.Line
}

func quote(line string) string {
	s := fmt.Sprintf("%q", clip(line))
	if !strings.HasSuffix(line, "\n") {
		s += " without a line end"
	}
	return s
}
