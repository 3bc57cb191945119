package livepatch

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Status is all there is to know of hotpatches on a host.
type Status struct {
	Release    string       `json:"release"`
	BuildID    string       `json:"build_id"`
	Supported  bool         `json:"livepatch_supported"`
	Patches    []PatchState `json:"patches"`
	Installed  []Installed  `json:"installed"`
	Unfinished []Unfinished `json:"unfinished"`
	// Lost are hotpatches that were applied before the host was started again,
	// and are not now.
	Lost []Entry `json:"lost"`
}

// PatchState is a patch with who holds up its transition.
type PatchState struct {
	Patch
	Since    *time.Time `json:"since,omitempty"` // when it was last asked for
	Blockers []Task     `json:"blockers"`
}

// Status reads the state of the host. What cannot be read for lack of rights is
// left out.
func (h *Host) Status() (*Status, error) {
	s := &Status{Patches: []PatchState{}, Installed: []Installed{}, Unfinished: []Unfinished{}, Lost: []Entry{}}
	s.Release, _ = h.Release()
	s.BuildID, _ = h.BuildID("vmlinux")
	s.Supported = h.Supported() == nil
	patches, err := h.Patches()
	if err != nil {
		return nil, err
	}
	entries, _ := h.Journal()
	boot := h.BootID()
	for _, p := range patches {
		ps := PatchState{Patch: p, Blockers: h.Blockers(p)}
		if ps.Blockers == nil {
			ps.Blockers = []Task{}
		}
		for _, e := range entries {
			if e.Patch == p.Name && e.Boot == boot && (e.Op == OpApply || e.Op == OpBoot || e.Op == OpRevert) {
				t := e.Time
				ps.Since = &t
			}
		}
		s.Patches = append(s.Patches, ps)
	}
	if list, err := h.ListInstalled(); err == nil {
		s.Installed = append(s.Installed, list...)
	}
	if list, err := h.Unfinished(); err == nil {
		s.Unfinished = append(s.Unfinished, list...)
	}
	s.Lost = append(s.Lost, h.lost(entries, boot)...)
	return s, nil
}

// lost returns the last application, under an earlier boot, of every patch
// that is not in the kernel now and was not taken back.
func (h *Host) lost(entries []Entry, boot string) []Entry {
	last := map[string]Entry{}
	var order []string
	for _, e := range entries {
		if !e.Done || e.Error != "" || e.Patch == "" {
			continue
		}
		switch e.Op {
		case OpApply, OpBoot:
			if _, ok := last[e.Patch]; !ok {
				order = append(order, e.Patch)
			}
			last[e.Patch] = e
		case OpRevert, OpUnload, OpUninstall:
			delete(last, e.Patch)
		}
	}
	var list []Entry
	for _, p := range order {
		if e, ok := last[p]; ok && e.Boot != boot && h.State(p) == Absent {
			list = append(list, e)
			delete(last, p)
		}
	}
	return list
}

// Metrics writes the status in the text format of Prometheus.
func (s *Status) Metrics(w io.Writer) {
	metric := func(name, help string) {
		fmt.Fprintf(w, "# HELP hotpatch_%s %s\n# TYPE hotpatch_%s gauge\n", name, help, name)
	}
	metric("supported", "Whether the kernel has livepatch support.")
	fmt.Fprintf(w, "hotpatch_supported %d\n", flag(s.Supported))
	metric("state", "The state of a patch: 1 for the one it is in.")
	for _, p := range s.Patches {
		for _, st := range []State{Applied, Applying, Reverting, Inactive} {
			fmt.Fprintf(w, "hotpatch_state{patch=%s,state=%s} %d\n", label(p.Name), label(string(st)), flag(p.State == st))
		}
	}
	metric("functions", "Functions that a patch replaces.")
	for _, p := range s.Patches {
		n := 0
		for _, o := range p.Objects {
			n += len(o.Functions)
		}
		fmt.Fprintf(w, "hotpatch_functions{patch=%s} %d\n", label(p.Name), n)
	}
	metric("blocking_tasks", "Tasks that hold up the transition of a patch.")
	for _, p := range s.Patches {
		fmt.Fprintf(w, "hotpatch_blocking_tasks{patch=%s} %d\n", label(p.Name), len(p.Blockers))
	}
	metric("since_seconds", "When the state of a patch was asked for, in seconds since 1970.")
	for _, p := range s.Patches {
		if p.Since != nil {
			fmt.Fprintf(w, "hotpatch_since_seconds{patch=%s} %d\n", label(p.Name), p.Since.Unix())
		}
	}
	metric("installed", "Hotpatches that are applied at boot.")
	for _, i := range s.Installed {
		fmt.Fprintf(w, "hotpatch_installed{patch=%s,suspect=%s} 1\n", label(i.Name), label(fmt.Sprint(i.Suspect != "")))
	}
	metric("unfinished_operations", "Operations that were begun and did not end.")
	fmt.Fprintf(w, "hotpatch_unfinished_operations %d\n", len(s.Unfinished))
	metric("lost_patches", "Patches that were applied before a reboot and are not now.")
	fmt.Fprintf(w, "hotpatch_lost_patches %d\n", len(s.Lost))
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// label quotes a label's value as the format wants it.
func label(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
