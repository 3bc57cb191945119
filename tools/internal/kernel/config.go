package kernel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"cloudkernel/tools/internal/diag"
)

// setting is one line of a configuration fragment.
type setting struct {
	symbol string // without CONFIG_
	value  string // y, n, m, a number, or a quoted string
	file   string // where it was asked for
	line   int

	// optional settings may be dropped: a topic of which only the first patches
	// are applied does not have all its options yet.
	optional bool
}

func (s setting) String() string {
	if s.value == "n" {
		return "# CONFIG_" + s.symbol + " is not set"
	}
	return "CONFIG_" + s.symbol + "=" + s.value
}

var (
	setLine   = regexp.MustCompile(`^CONFIG_([A-Za-z0-9_]+)=(.+)$`)
	unsetLine = regexp.MustCompile(`^# CONFIG_([A-Za-z0-9_]+) is not set$`)
	setValue  = regexp.MustCompile(`^(y|m|n|-?[0-9]+|0x[0-9a-fA-F]+|"([^"\\]|\\.)*")$`)
)

// parseFragment reads the settings of a fragment. Lines are those of a .config;
// other comments and blank lines are passed over, anything else is a finding.
func parseFragment(name string, data []byte) ([]setting, error) {
	var out []setting
	var bad diag.List
	for i, raw := range strings.Split(string(data), "\n") {
		line := strings.TrimRight(raw, " \t\r")
		if m := setLine.FindStringSubmatch(line); m != nil {
			if !setValue.MatchString(m[2]) {
				bad.Addf(name, i+1, "CONFIG_%s: %s is no value: y, n, m, a number or a quoted string is", m[1], m[2])
				continue
			}
			out = append(out, setting{symbol: m[1], value: m[2], file: name, line: i + 1})
		} else if m := unsetLine.FindStringSubmatch(line); m != nil {
			out = append(out, setting{symbol: m[1], value: "n", file: name, line: i + 1})
		} else if line != "" && !strings.HasPrefix(line, "#") {
			bad.Addf(name, i+1, "not a configuration line: %q", line)
		}
	}
	return out, bad.Err()
}

// The first line of a profile says what it is merged with. Without a mark it is
// common.config, the architecture's fragment and those of the topics.
const (
	// aloneMark: with nothing, or with the topics it names ("alone with vmf").
	// Such a profile can be smaller than common.config, and a new topic does not
	// make it larger.
	aloneMark = "# kernlab: alone"
	// insteadMark: with the topics' fragments. The profile takes the place of
	// common.config and of the architecture's fragment.
	insteadMark = "# kernlab: instead of common"
)

// fragments returns the settings a request asks for, in the order in which they
// are merged: common, architecture, topics, profile, options. A later setting
// of a symbol wins. topics are those the series has with the request's left
// out; partial is the one, if any, that a prefix of the series cuts short.
func fragments(dir string, r Request, topics []string, partial string) ([]setting, error) {
	names, err := fragmentNames(dir, r, topics)
	if err != nil {
		return nil, err
	}
	var all []setting
	for _, name := range names {
		path := filepath.Join(dir, name+".config")
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && name != "common" && name != r.Arch.Name {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read a configuration fragment: %w", err)
		}
		settings, err := parseFragment(filepath.Join("kernel-patches", "configs", name+".config"), data)
		if err != nil {
			return nil, err
		}
		if partial != "" && (name == partial || name == partial+"."+r.Arch.Name) {
			for i := range settings {
				settings[i].optional = true
			}
		}
		all = append(all, settings...)
	}
	for _, o := range r.Options {
		settings, err := parseFragment("--option", []byte(o))
		if err != nil || len(settings) != 1 {
			return nil, fmt.Errorf("option %q: it is CONFIG_NAME=y, n, m, a number or a quoted string", o)
		}
		settings[0].line = 0
		all = append(all, settings...)
	}
	return all, nil
}

// fragmentNames returns the fragments that are merged, in their order.
func fragmentNames(dir string, r Request, topics []string) ([]string, error) {
	var ofTopics []string
	for _, t := range topics {
		ofTopics = append(ofTopics, t, t+"."+r.Arch.Name)
	}
	base := []string{"common", r.Arch.Name}
	if r.Profile == DefaultProfile {
		return slices.Concat(base, ofTopics), nil
	}
	own := []string{r.Profile, r.Profile + "." + r.Arch.Name}
	mark, err := markOf(dir, r.Profile)
	if err != nil {
		return nil, fmt.Errorf("unknown profile %q: there is no %s; the profiles are %s", r.Profile,
			filepath.Join(dir, r.Profile+".config"), strings.Join(Profiles(dir, topics), ", "))
	}
	if with, alone := strings.CutPrefix(mark, aloneMark); alone {
		named := strings.Fields(strings.TrimPrefix(strings.TrimSpace(with), "with"))
		for _, t := range topics {
			if slices.Contains(named, t) {
				own = append(own, t, t+"."+r.Arch.Name)
			}
		}
		return own, nil
	}
	if mark == insteadMark {
		return slices.Concat(own, ofTopics), nil
	}
	return slices.Concat(base, ofTopics, own), nil
}

// markOf returns the first line of a profile's fragment.
func markOf(dir, profile string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, profile+".config"))
	first, _, _ := strings.Cut(string(text), "\n")
	return first, err
}

// HasTopics reports whether a profile has the topics' options in it. One that
// stands alone has not, or not all, and a kernel of it says little about the
// series.
func HasTopics(dir, profile string) bool {
	mark, _ := markOf(dir, profile)
	return !strings.HasPrefix(mark, aloneMark)
}

// Profiles lists the profiles for which dir holds a fragment.
func Profiles(dir string, topics []string) []string {
	taken := map[string]bool{"common": true, "arm64": true, "x86_64": true}
	for _, t := range topics {
		taken[t] = true
	}
	list := []string{DefaultProfile}
	files, _ := filepath.Glob(filepath.Join(dir, "*.config"))
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".config")
		if !taken[name] && !strings.Contains(name, ".") {
			list = append(list, name)
		}
	}
	return list
}

// wanted returns the last setting of every symbol, in order of appearance.
func wanted(all []setting) []setting {
	last := map[string]int{}
	for i, s := range all {
		last[s.symbol] = i
	}
	var out []setting
	for i, s := range all {
		if last[s.symbol] == i {
			out = append(out, s)
		}
	}
	return out
}

// render returns settings as the text of a .config.
func render(all []setting) []byte {
	var b bytes.Buffer
	for _, s := range wanted(all) {
		fmt.Fprintln(&b, s)
	}
	return b.Bytes()
}

// parseConfig returns the value of every symbol that a full .config mentions.
func parseConfig(data []byte) map[string]string {
	got := map[string]string{}
	sc := bufio.NewScanner(bytes.NewReader(data))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if m := setLine.FindStringSubmatch(sc.Text()); m != nil {
			got[m[1]] = m[2]
		} else if m := unsetLine.FindStringSubmatch(sc.Text()); m != nil {
			got[m[1]] = "n"
		}
	}
	return got
}

// checkConfig compares what was asked for with what olddefconfig left, and
// names each option that did not survive: an unknown one as unknown, a known
// one with the place and the conditions of its definition in src.
func checkConfig(src string, all []setting, config []byte) error {
	got := parseConfig(config)
	var lost []setting
	for _, s := range wanted(all) {
		v, ok := got[s.symbol]
		if !ok {
			v = "n"
		}
		if v != s.value && !s.optional {
			lost = append(lost, s)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	defs := findDefinitions(src, lost)
	var bad diag.List
	for _, s := range lost {
		d := diag.Diag{File: s.file, Line: s.line}
		v, mentioned := got[s.symbol]
		if !mentioned {
			v = "n"
		}
		d.Msg = fmt.Sprintf("CONFIG_%s=%s did not survive: it became %s", s.symbol, s.value, v)
		if def, ok := defs[s.symbol]; !ok {
			d.Msg = fmt.Sprintf("unknown option CONFIG_%s: no Kconfig file of this source defines it", s.symbol)
		} else {
			d.Hint = "defined at " + def.place
			if len(def.conditions) > 0 {
				d.Hint += ", " + strings.Join(def.conditions, "; ")
			}
		}
		bad = append(bad, d)
	}
	return bad
}

type definition struct {
	place      string // drivers/net/Kconfig:12
	conditions []string
}

var (
	configStart = regexp.MustCompile(`^\s*(?:menu)?config\s+([A-Za-z0-9_]+)\s*$`)
	dependsLine = regexp.MustCompile(`^\s+(depends on\s.*|prompt\s.*|(?:bool|tristate|int|hex|string)\s+".*"\s+if\s.*)$`)
	blockEnd    = regexp.MustCompile(`^(?:menu|config|menuconfig|choice|endchoice|comment|if|endif|endmenu|source|help|mainmenu)\b`)
)

// findDefinitions looks for the lost symbols in the Kconfig files of src.
func findDefinitions(src string, lost []setting) map[string]definition {
	want := map[string]bool{}
	for _, s := range lost {
		want[s.symbol] = true
	}
	defs := map[string]definition{}
	_ = filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() && path != src && (strings.HasPrefix(d.Name(), ".") || d.Name() == "Documentation") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasPrefix(d.Name(), "Kconfig") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		rel, _ := filepath.Rel(src, path)
		current := ""
		for i, line := range strings.Split(string(data), "\n") {
			if m := configStart.FindStringSubmatch(line); m != nil {
				current = ""
				if _, done := defs[m[1]]; want[m[1]] && !done {
					current = m[1]
					defs[current] = definition{place: fmt.Sprintf("%s:%d", rel, i+1)}
				}
				continue
			}
			if current == "" {
				continue
			}
			if blockEnd.MatchString(strings.TrimSpace(line)) {
				current = ""
			} else if m := dependsLine.FindStringSubmatch(line); m != nil {
				def := defs[current]
				def.conditions = append(def.conditions, m[1])
				defs[current] = def
			}
		}
		return nil
	})
	return defs
}
