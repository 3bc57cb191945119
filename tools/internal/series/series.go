package series

import (
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

// splitTopics splits the value of a Depends-on trailer.
func splitTopics(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}
