package series

import (
	"slices"
	"strings"
)

// section is a topic's part of the series file.
type section struct {
	before  []string            // empty lines and comments that stand by themselves
	heading []string            // the comment right above the first patch
	notes   map[string][]string // comments above later patches, by subject
}

// rewriteList returns the series file for patches under their new names. A
// topic keeps its heading and what stands before it, a comment between patches
// stays above the patch of the same subject, and a topic that has no patches
// any more goes with its heading.
func (s *Series) rewriteList(patches []New, names []string) []byte {
	header, sections, trailer := s.sections()
	var out []string
	out = append(out, header...)
	var topics []string
	for _, p := range patches {
		if !slices.Contains(topics, p.Topic) {
			topics = append(topics, p.Topic)
		}
	}
	for _, topic := range topics {
		sec := sections[topic]
		if sec == nil {
			sec = &section{heading: []string{"# " + topic + ": say here what it is"}}
		}
		if len(sec.before) == 0 && len(out) > 0 && out[len(out)-1] != "" {
			out = append(out, "")
		}
		out = joinChunk(out, sec.before)
		out = append(out, sec.heading...)
		for i, p := range patches {
			if p.Topic == topic {
				out = append(out, sec.notes[p.Subject]...)
				delete(sec.notes, p.Subject)
				out = append(out, names[i])
			}
		}
		for _, subject := range s.subjects(topic) {
			out = append(out, sec.notes[subject]...)
		}
	}
	out = joinChunk(out, trailer)
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	if len(out) == 0 {
		return nil
	}
	return []byte(strings.Join(out, "\n") + "\n")
}

// joinChunk appends lines whose old neighbour may be gone: no two empty lines
// meet where it was.
func joinChunk(out, chunk []string) []string {
	for len(chunk) > 0 && chunk[0] == "" && (len(out) == 0 || out[len(out)-1] == "") {
		chunk = chunk[1:]
	}
	return append(out, chunk...)
}

func (s *Series) subjects(topic string) []string {
	var subjects []string
	for _, p := range s.Topic(topic) {
		subjects = append(subjects, p.Subject)
	}
	return subjects
}

// sections takes the series file apart.
func (s *Series) sections() (header []string, sections map[string]*section, trailer []string) {
	sections = map[string]*section{}
	subject := map[string]string{}
	for _, p := range s.Patches {
		subject[p.Name] = p.Subject
	}
	if s.list == nil {
		return nil, sections, nil
	}
	var pending []string // lines since the last patch
	first := true
	for _, l := range s.list.lines {
		if l.entry == "" {
			pending = append(pending, l.text)
			continue
		}
		topic, _ := splitName(l.entry)
		sec := sections[topic]
		if sec != nil {
			sec.notes[subject[l.entry]] = append(sec.notes[subject[l.entry]], pending...)
			pending = nil
			continue
		}
		at := len(pending)
		for at > 0 && pending[at-1] != "" {
			at--
		}
		sec = &section{heading: slices.Clone(pending[at:]), notes: map[string][]string{}}
		if first {
			header, first = slices.Clone(pending[:at]), false
		} else {
			sec.before = slices.Clone(pending[:at])
		}
		sections[topic] = sec
		pending = nil
	}
	if first {
		return pending, sections, nil
	}
	return header, sections, pending
}
