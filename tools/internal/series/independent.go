package series

import (
	"io/fs"
	"slices"

	"cloudkernel/tools/internal/diag"
)

// Independent leaves out each topic in turn, with those that say they depend on
// it, and reports patches of the others that no longer apply: they need a
// Depends-on. The series as a whole must apply.
func (s *Series) Independent(base fs.FS) (diag.List, error) {
	var found diag.List
	pristine := map[string]content{}
	for _, topic := range s.Topics() {
		rest, err := s.Without(s.dependents(topic)...)
		if err != nil {
			return nil, err
		}
		if n := len(rest.Patches); n == 0 || rest.Patches[n-1] == s.Patches[n-1] {
			continue // the rest is a prefix, which applies
		}
		list, err := rest.touching(s, topic).run(newState(base, pristine), nil, &diag.List{})
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			d.Msg = "without topic " + topic + ": " + d.Msg
			d.Hint = "say Depends-on: " + topic + ", or make it independent"
			found = append(found, d)
		}
	}
	return found, nil
}

// touching returns the series with only those diffs that reach files which
// patches of whole, but not of s, change: nothing else can fare differently.
func (s *Series) touching(whole *Series, topic string) *Series {
	out := whole.dependents(topic)
	reach := map[string]bool{}
	for _, p := range whole.Patches {
		if slices.Contains(out, p.Topic) {
			for _, d := range p.Diffs {
				reach[d.OldName], reach[d.NewName] = true, true
			}
		}
	}
	delete(reach, "")
	for grown := true; grown; { // a rename leads from one file to another
		grown = false
		for _, p := range s.Patches {
			for _, d := range p.Diffs {
				if d.OldName != "" && d.NewName != "" && reach[d.OldName] != reach[d.NewName] {
					reach[d.OldName], reach[d.NewName], grown = true, true, true
				}
			}
		}
	}
	few := &Series{Dir: s.Dir}
	for _, p := range s.Patches {
		q := *p
		q.Diffs = slices.DeleteFunc(slices.Clone(p.Diffs), func(d *FileDiff) bool { return !reach[d.OldName] && !reach[d.NewName] })
		if len(q.Diffs) > 0 {
			few.Patches = append(few.Patches, &q)
		}
	}
	return few
}

// dependents returns a topic and all that depend on it, however indirectly.
func (s *Series) dependents(topic string) []string {
	all := []string{topic}
	for grown := true; grown; {
		grown = false
		for _, t := range s.Topics() {
			if !slices.Contains(all, t) && slices.ContainsFunc(s.DependsOn(t), func(d string) bool { return slices.Contains(all, d) }) {
				all, grown = append(all, t), true
			}
		}
	}
	return all
}
