package series

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"cloudkernel/tools/internal/diag"
)

// Rule is one thing that every patch must satisfy.
type Rule struct {
	Name  string
	Says  string // the rule, for people
	check func(c *checker, p *Patch)
}

// Rules returns the rules that Check checks, in the order in which it does.
func Rules() []Rule {
	return []Rule{
		{"author", "the mail names an author and a date", ruleAuthor},
		{"subject", `it reads "subsystem: what it does", in 75 columns at most`, ruleSubject},
		{"body", "a body says why before the trailers begin", ruleBody},
		{"trailers", "the last paragraph is trailers, in order, each spelt as the rules know it", ruleTrailers},
		{"topic", "Topic is given once and is the directory the patch is in", ruleTopic},
		{"depends-on", "Depends-on names other topics of the series, whose patches come first", ruleDependsOn},
		{"upstream-status", "Upstream-Status is Pending, Never <reason>, or Superseded-in v<release> <commit>", ruleUpstream},
		{"tested-by-case", "Tested-by-case names a case of qemu-tests, or a selftest that the series adds", ruleTestedBy},
		{"hotpatchable", "Hotpatchable is yes, or no <reason>", ruleHotpatchable},
		{"number", "a topic's patches stand together, numbered from 0001", ruleNumber},
		{"format", "the file is as kernlab series export writes it", ruleFormat},
	}
}

// checker is what rules may look at besides the patch.
type checker struct {
	s      *Series
	repo   fs.FS // the repository; nil when cases are not to be looked up
	list   *diag.List
	topics []string
	added  map[string]bool // file names that the series adds below tools/testing/selftests, without their suffix
}

// Check checks every patch against the rules and returns what breaks them.
// repo is the repository that holds qemu-tests; nil leaves out the rule that
// cases exist.
func (s *Series) Check(repo fs.FS) diag.List {
	var list diag.List
	c := &checker{s: s, repo: repo, list: &list, topics: s.Topics(), added: map[string]bool{}}
	for _, p := range s.Patches {
		for _, d := range p.Diffs {
			if rest, ok := strings.CutPrefix(d.Name(), selftests); ok && !d.IsDelete {
				c.added[strings.TrimSuffix(rest, path.Ext(rest))] = true
			}
		}
	}
	for _, p := range s.Patches {
		for _, r := range Rules() {
			r.check(c, p)
		}
	}
	return list
}

const selftests = "tools/testing/selftests/"

func (c *checker) addf(p *Patch, line int, format string, args ...any) {
	c.list.Addf(p.File, line, format, args...)
}

func (c *checker) hintf(p *Patch, line int, hint, format string, args ...any) {
	*c.list = append(*c.list, diag.Diag{File: p.File, Line: line, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

func ruleAuthor(c *checker, p *Patch) {
	if p.Author == "" || p.Email == "" {
		c.addf(p, 2, "the mail does not say who wrote the patch")
	}
}

// subjectRE is "subsystem: what it does"; a subsystem may have parts, as in
// "arm64/sched: " and "sched, cpufreq: " and "Documentation: livepatch: ".
var subjectRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_./,*+ -]*: \S`)

func ruleSubject(c *checker, p *Patch) {
	switch {
	case faultOfSubject(p.Subject) != "":
		c.addf(p, p.SubjectLine, "%s", faultOfSubject(p.Subject))
	case p.style.prefix != "" && p.style.prefix != "[PATCH]":
		c.addf(p, p.SubjectLine, "%q before the subject is lost when the patch is applied", p.style.prefix)
	}
}

func faultOfSubject(s string) string {
	switch {
	case isFixup(s):
		return fmt.Sprintf("%q waits to be squashed into another commit", clip(s))
	case strings.HasPrefix(s, "["):
		return fmt.Sprintf("subject %q: git takes what is in brackets off when it applies the patch", clip(s))
	case !subjectRE.MatchString(s):
		return fmt.Sprintf("subject %q: want \"subsystem: what it does\"", clip(s))
	case utf8.RuneCountInString(s) > 75:
		return fmt.Sprintf("the subject has %d columns: want at most 75", utf8.RuneCountInString(s))
	case strings.HasSuffix(s, "."):
		return "the subject ends with a full stop"
	}
	return ""
}

// isFixup reports whether a subject is that of a commit that git rebase
// --autosquash is to melt into another.
func isFixup(subject string) bool {
	for _, p := range []string{"fixup!", "squash!", "amend!"} {
		if strings.HasPrefix(subject, p) {
			return true
		}
	}
	return false
}

func ruleBody(c *checker, p *Patch) {
	if p.Body == "" {
		c.addf(p, p.BodyLine, "no body says why the patch is needed")
		return
	}
	if first, _, _ := strings.Cut(p.Body, "\n"); inBodyHeader(first) {
		c.addf(p, p.BodyLine, "the body begins with %q, which git am takes for a mail header", clip(first))
	}
}

// inBodyHeader reports whether git am takes the first line of a body for a
// header that overrides the mail's own.
func inBodyHeader(l string) bool {
	for _, h := range []string{"From:", "Date:", "Subject:"} {
		if len(l) >= len(h) && strings.EqualFold(l[:len(h)], h) {
			return true
		}
	}
	return false
}

// otherKeys are trailers that the kernel knows and the series does not ask for.
var otherKeys = []string{"Signed-off-by", "Co-developed-by", "Suggested-by", "Reported-by", "Reviewed-by", "Acked-by",
	"Tested-by", "Cc", "Link", "Closes", "Fixes", "Assisted-by"}

func ruleTrailers(c *checker, p *Patch) {
	if len(p.Trailers) == 0 {
		c.hintf(p, p.TrailerLine, "end the message with a paragraph of: "+strings.Join(knownKeys, ", "), "the last paragraph of the message is not trailers")
		return
	}
	last := 0
	for _, t := range p.Trailers {
		at := slices.Index(knownKeys, t.Key)
		switch {
		case t.Key != t.spelt:
			c.addf(p, t.Line, "spell the trailer %s, not %s", t.Key, t.spelt)
		case t.Value == "":
			c.addf(p, t.Line, "trailer %s has no value", t.Key)
		case at < 0 && !slices.Contains(otherKeys, t.Key):
			c.hintf(p, t.Line, "known are "+strings.Join(append(slices.Clone(knownKeys), otherKeys...), ", "), "unknown trailer %s", t.Key)
		case at >= 0 && at < last:
			c.addf(p, t.Line, "trailer %s stands before %s", t.Key, knownKeys[last])
		}
		last = max(last, at)
	}
}

// once returns the only trailer of a key, after complaining when there is none
// or more than one. Without any trailers ruleTrailers has complained already.
func (c *checker) once(p *Patch, key string) (Trailer, bool) {
	var found []Trailer
	for _, t := range p.Trailers {
		if t.Key == key {
			found = append(found, t)
		}
	}
	switch {
	case len(found) > 1:
		c.addf(p, found[1].Line, "trailer %s is given twice", key)
	case len(found) == 0 && len(p.Trailers) > 0:
		c.addf(p, p.TrailerLine, "the trailer %s is missing", key)
	}
	return append(found, Trailer{})[0], len(found) > 0
}

func ruleTopic(c *checker, p *Patch) {
	if t, ok := c.once(p, keyTopic); ok && t.Value != p.Topic {
		c.addf(p, t.Line, "the patch is in directory %s and says its topic is %s", p.Topic, t.Value)
	}
}

func ruleDependsOn(c *checker, p *Patch) {
	for _, t := range p.Trailers {
		if t.Key != keyDependsOn {
			continue
		}
		for _, dep := range splitTopics(t.Value) {
			switch {
			case dep == p.Topic:
				c.addf(p, t.Line, "topic %s cannot depend on itself", dep)
			case !slices.Contains(c.topics, dep):
				c.hintf(p, t.Line, "the series has "+strings.Join(c.topics, ", "), "Depends-on names %s, which is no topic of the series", dep)
			case slices.Index(c.topics, dep) > slices.Index(c.topics, p.Topic):
				c.addf(p, t.Line, "topic %s comes after %s in the series and cannot be depended on", dep, p.Topic)
			}
		}
	}
}

var upstreamRE = regexp.MustCompile(`^(Pending|Never \S.*|Superseded-in v[0-9]+\.[0-9]+ \S.*)$`)

func ruleUpstream(c *checker, p *Patch) {
	if t, ok := c.once(p, keyUpstream); ok && !upstreamRE.MatchString(t.Value) {
		c.addf(p, t.Line, "Upstream-Status is %q: want Pending, Never <reason>, or Superseded-in v6.17 <commit>", clip(t.Value))
	}
}

var hotpatchRE = regexp.MustCompile(`^(yes|no \S.*)$`)

func ruleHotpatchable(c *checker, p *Patch) {
	if t, ok := c.once(p, keyHotpatchable); ok && !hotpatchRE.MatchString(t.Value) {
		c.addf(p, t.Line, "Hotpatchable is %q: want yes, or no <reason>", clip(t.Value))
	}
}

var caseRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)+(:[^\s:]+)?$`)

func ruleTestedBy(c *checker, p *Patch) {
	n := 0
	for _, t := range p.Trailers {
		if t.Key != keyTestedBy {
			continue
		}
		n++
		switch {
		case !caseRE.MatchString(t.Value):
			c.addf(p, t.Line, "%q is no case: want <topic>/<case>, <topic>/<case>:<part>, or selftests/<topic>/<program>", clip(t.Value))
		case c.repo != nil && !c.caseExists(t.Value):
			c.addf(p, t.Line, "no case %s: neither a file qemu-tests/%s.* nor a selftest of that name that the series adds", t.Value, strings.Split(t.Value, ":")[0])
		}
	}
	if n == 0 && len(p.Trailers) > 0 {
		c.addf(p, p.TrailerLine, "the trailer %s is missing", keyTestedBy)
	}
}

func (c *checker) caseExists(name string) bool {
	file, _, _ := strings.Cut(name, ":")
	for _, pattern := range []string{"qemu-tests/" + file, "qemu-tests/" + file + ".*"} {
		if m, err := fs.Glob(c.repo, pattern); err == nil && len(m) > 0 {
			return true
		}
	}
	program := strings.TrimPrefix(strings.TrimPrefix(file, "tools/testing/"), "selftests/")
	return c.added[strings.TrimSuffix(program, path.Ext(program))]
}

func ruleNumber(c *checker, p *Patch) {
	i := slices.Index(c.s.Patches, p)
	patches := c.s.Topic(p.Topic)
	at := slices.Index(patches, p)
	if p.Number != at+1 {
		c.hintf(p, 0, "kernlab series export renumbers", "number %04d of topic %s should be %04d", p.Number, p.Topic, at+1)
	}
	if at > 0 && c.s.Patches[i-1] != patches[at-1] {
		c.addf(p, 0, "the series lists patches of topic %s between this one and %s: a topic's patches stand together", c.s.Patches[i-1].Topic, patches[at-1].Name)
	}
}

func ruleFormat(c *checker, p *Patch) {
	const hint = "kernlab tree, then kernlab series export"
	st := p.style
	switch {
	case st.commit:
		c.hintf(p, 1, hint, "the mail names a commit, which changes with every rebase: want zeros")
	case st.prefix == "":
		c.hintf(p, p.SubjectLine, hint, "the subject has no [PATCH] before it")
	case !st.dateUTC:
		c.hintf(p, st.dateLine, hint, "the date is not in UTC")
	case st.text != 0:
		c.hintf(p, st.text, hint, "text or a diffstat stands between message and diff: it is no part of the commit")
	case st.sig != 0:
		c.hintf(p, st.sig, hint, "the mail ends with the version of git")
	}
	for _, d := range p.Diffs {
		switch {
		case d.IsRename || d.IsCopy:
			c.hintf(p, d.Line, hint, "%s is written as a rename, whose review needs the old file", d.Name())
		case len(d.Hunks) > 0 && (len(d.OldOIDPrefix) < 40 || len(d.NewOIDPrefix) < 40):
			c.hintf(p, d.Line, hint, "the index line of %s has shortened ids", d.Name())
		default:
			continue
		}
		return
	}
}
