package series

import "strings"

// Status is what a topic is and how far it reaches into the base.
type Status struct {
	Topic     string     `json:"topic"`
	About     string     `json:"about"`
	DependsOn []string   `json:"depends_on,omitempty"`
	Patches   int        `json:"patches"`
	Upstream  []Upstream `json:"upstream"`

	// Lines and files, summed over the patches. A file is new when the series
	// makes it, also to later patches that change it.
	Existing Stat `json:"existing"`
	New      Stat `json:"new"`

	Hotpatchable int      `json:"hotpatchable"` // patches that can be applied to a running kernel
	Cold         []string `json:"cold"`         // why the others cannot, by patch
}

// Stat is a diffstat.
type Stat struct {
	Files   int `json:"files"`
	Added   int `json:"added"`
	Deleted int `json:"deleted"`
}

// Upstream counts the patches with one Upstream-Status.
type Upstream struct {
	Status  string `json:"status"` // Pending, Never, Superseded-in v6.17
	Patches int    `json:"patches"`
}

// Status returns the status of every topic, in the series' order.
func (s *Series) Status() []Status {
	made := map[string]bool{}
	for _, p := range s.Patches {
		for _, d := range p.Diffs {
			if d.IsNew {
				made[d.NewName] = true
			}
		}
	}
	var all []Status
	for _, topic := range s.Topics() {
		st := Status{Topic: topic, About: s.About(topic), DependsOn: s.DependsOn(topic), Cold: []string{}}
		files := map[string]bool{}
		for _, p := range s.Topic(topic) {
			st.Patches++
			st.countUpstream(p.Trailer(keyUpstream))
			if reason, no := strings.CutPrefix(p.Trailer(keyHotpatchable), "no "); no {
				st.Cold = append(st.Cold, p.Name+": "+reason)
			} else if p.Trailer(keyHotpatchable) == "yes" {
				st.Hotpatchable++
			}
			for _, d := range p.Diffs {
				stat := &st.Existing
				if made[d.Name()] {
					stat = &st.New
				}
				added, deleted := d.Stat()
				stat.Added += added
				stat.Deleted += deleted
				if !files[d.Name()] {
					files[d.Name()] = true
					stat.Files++
				}
			}
		}
		all = append(all, st)
	}
	return all
}

// countUpstream counts one patch. Of a reason or a commit only the kind and the
// release are kept.
func (st *Status) countUpstream(value string) {
	words := strings.Fields(value)
	status := "?"
	if len(words) > 0 {
		status = words[0]
	}
	if status == "Superseded-in" && len(words) > 1 {
		status += " " + words[1]
	}
	for i := range st.Upstream {
		if st.Upstream[i].Status == status {
			st.Upstream[i].Patches++
			return
		}
	}
	st.Upstream = append(st.Upstream, Upstream{status, 1})
}
