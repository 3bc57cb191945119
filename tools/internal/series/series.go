package series

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"cloudkernel/tools/internal/diag"
)

// Series is an ordered list of patches.
type Series struct {
	Dir     string   // kernel-patches, as it was given to Load
	Patches []*Patch // in the order they apply
	list    *listFile
}

// Patch is one patch file.
type Patch struct {
	Name   string // slash-separated path below Series.Dir: vmf/0001-sched-add-x.patch
	File   string // path that diagnostics name it by
	Topic  string // directory it is in
	Number int    // NNNN of its name
	Line   int    // where the series file lists it
	Data   []byte // the file
	Mail
	Diffs []*FileDiff
}

// Topics returns the topics in the order of their first patches.
func (s *Series) Topics() []string {
	var topics []string
	for _, p := range s.Patches {
		if !slices.Contains(topics, p.Topic) {
			topics = append(topics, p.Topic)
		}
	}
	return topics
}

// Topic returns the patches of one topic, in order.
func (s *Series) Topic(topic string) []*Patch {
	var patches []*Patch
	for _, p := range s.Patches {
		if p.Topic == topic {
			patches = append(patches, p)
		}
	}
	return patches
}

// DependsOn returns the topics that a topic's patches say they depend on.
func (s *Series) DependsOn(topic string) []string {
	var deps []string
	for _, p := range s.Topic(topic) {
		for _, t := range p.Trailers {
			if t.Key != keyDependsOn {
				continue
			}
			for _, dep := range splitTopics(t.Value) {
				if !slices.Contains(deps, dep) {
					deps = append(deps, dep)
				}
			}
		}
	}
	return deps
}

// Without returns the series without some topics. It is an error to leave out
// a topic that the series does not have, or one that a topic that stays
// depends on.
func (s *Series) Without(topics ...string) (*Series, error) {
	var list diag.List
	have := s.Topics()
	for _, t := range topics {
		if !slices.Contains(have, t) {
			list = append(list, diag.Diag{Msg: "cannot leave out " + t + ": the series has no such topic",
				Hint: "it has " + strings.Join(have, ", ")})
		}
	}
	for _, t := range have {
		if slices.Contains(topics, t) {
			continue
		}
		for _, dep := range s.DependsOn(t) {
			if slices.Contains(topics, dep) {
				list = append(list, diag.Diag{Msg: "cannot leave out " + dep + ": " + t + " depends on it",
					Hint: "leave out " + t + " too"})
			}
		}
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	rest := &Series{Dir: s.Dir, list: s.list}
	for _, p := range s.Patches {
		if !slices.Contains(topics, p.Topic) {
			rest.Patches = append(rest.Patches, p)
		}
	}
	return rest, nil
}

// Prefix returns the series of the first n patches.
func (s *Series) Prefix(n int) *Series {
	return &Series{Dir: s.Dir, list: s.list, Patches: s.Patches[:n:n]}
}

// Digest names the patch files and their order, in hex. Comments of the series
// file do not count.
func (s *Series) Digest() string {
	h := sha256.New()
	for _, p := range s.Patches {
		fmt.Fprintf(h, "%s %d\n", p.Name, len(p.Data))
		h.Write(p.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// splitTopics splits the value of a Depends-on trailer.
func splitTopics(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}

// index returns the place of the patch that a name means: the whole name, the
// file's name, or the beginning of either up to a '-' or a '.'. "" is the first.
func (s *Series) index(name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	var found []int
	for i, p := range s.Patches {
		for _, full := range []string{p.Name, path.Base(p.Name)} {
			rest, ok := strings.CutPrefix(full, name)
			if ok && (rest == "" || rest[0] == '-' || rest[0] == '.') {
				found = append(found, i)
				break
			}
		}
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("the series has no patch %s", name)
	case 1:
		return found[0], nil
	}
	return 0, fmt.Errorf("%s could be %s or %s: give more of the name", name, s.Patches[found[0]].Name, s.Patches[found[1]].Name)
}

// About returns what the comment above a topic's first patch says of it, on
// one line.
func (s *Series) About(topic string) string {
	_, sections, _ := s.sections()
	sec := sections[topic]
	if sec == nil {
		return ""
	}
	var words []string
	for _, l := range sec.heading {
		words = append(words, strings.Fields(strings.TrimLeft(l, "#"))...)
	}
	return strings.TrimPrefix(strings.Join(words, " "), topic+": ")
}
