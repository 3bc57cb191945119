package livepatch

import (
	"errors"
	"io/fs"
	"os"
	"sort"
	"strconv"
	"strings"

	"cloudkernel/kpatch-arm64/module"
)

// State is what a patch is doing.
type State string

// States. A patch that is not in the kernel at all has the state Absent.
const (
	Applied   State = "applied"   // every task uses the new functions
	Applying  State = "applying"  // tasks are moving to the new functions
	Reverting State = "reverting" // tasks are moving back
	Inactive  State = "loaded"    // the module is there, and does nothing
	Absent    State = "absent"
)

// Patch is a livepatch in the kernel, made by hotpatch or not.
type Patch struct {
	Name    string   `json:"name"`
	State   State    `json:"state"`
	Replace bool     `json:"atomic_replace"`
	Objects []Object `json:"objects"`
	// Manifest is nil for a module that was not made by hotpatch.
	Manifest *module.Manifest `json:"manifest,omitempty"`
}

// Object is a patched object: vmlinux or a module.
type Object struct {
	Name string `json:"name"`
	// Patched is false for a module that is not loaded: it is patched as soon
	// as it is.
	Patched   bool       `json:"patched"`
	Functions []Function `json:"functions"`
}

// Function is a replaced function.
type Function struct {
	Name   string `json:"name"`
	Sympos int    `json:"sympos"` // from 1
}

const livepatchDir = "sys/kernel/livepatch"

// Supported reports whether the kernel has livepatch support that can be seen.
func (h *Host) Supported() error {
	if _, err := os.Stat(h.path("sys/kernel")); err != nil {
		return errors.New("sysfs is not mounted at /sys: mount -t sysfs sysfs /sys")
	}
	if _, err := os.Stat(h.path(livepatchDir)); err != nil {
		return errors.New("this kernel has no livepatch support (CONFIG_LIVEPATCH): boot one that has")
	}
	return nil
}

// Patches returns all livepatches the kernel knows, and the modules made by
// hotpatch that are loaded and do nothing, by name.
func (h *Host) Patches() ([]Patch, error) {
	entries, err := os.ReadDir(h.path(livepatchDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []Patch
	seen := map[string]bool{}
	for _, e := range entries {
		if p, ok := h.active(e.Name()); ok {
			list = append(list, p)
			seen[p.Name] = true
		}
	}
	modules, err := os.ReadDir(h.path("sys/module"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, m := range modules {
		if seen[m.Name()] {
			continue
		}
		if man := h.manifest(m.Name()); man != nil {
			list = append(list, Patch{Name: m.Name(), State: Inactive, Replace: man.Replace, Manifest: man, Objects: []Object{}})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

// State returns what a patch is doing.
func (h *Host) State(name string) State {
	if p, ok := h.active(name); ok {
		return p.State
	}
	if h.Loaded(name) {
		return Inactive
	}
	return Absent
}

// active reads a patch from /sys/kernel/livepatch; ok is false if it is not, or
// no longer, there.
func (h *Host) active(name string) (Patch, bool) {
	p := Patch{Name: name, Objects: []Object{}}
	enabled, err1 := h.line(livepatchDir, name, "enabled")
	transition, err2 := h.line(livepatchDir, name, "transition")
	if err1 != nil || err2 != nil {
		return p, false
	}
	switch {
	case transition == "1" && enabled == "1":
		p.State = Applying
	case transition == "1":
		p.State = Reverting
	case enabled == "1":
		p.State = Applied
	default:
		p.State = Inactive
	}
	if v, err := h.line(livepatchDir, name, "replace"); err == nil {
		p.Replace = v == "1"
	}
	p.Manifest = h.manifest(name)
	entries, _ := os.ReadDir(h.path(livepatchDir, name))
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		p.Objects = append(p.Objects, h.object(name, e.Name()))
	}
	return p, true
}

func (h *Host) object(patch, name string) Object {
	o := Object{Name: name, Functions: []Function{}}
	v, _ := h.line(livepatchDir, patch, name, "patched")
	o.Patched = v == "1"
	entries, _ := os.ReadDir(h.path(livepatchDir, patch, name))
	for _, e := range entries {
		fn, pos, ok := strings.Cut(e.Name(), ",")
		n, err := strconv.Atoi(pos)
		if !e.IsDir() || !ok || err != nil {
			continue
		}
		o.Functions = append(o.Functions, Function{fn, n})
	}
	return o
}

// manifest reads the manifest of a loaded module, or returns nil.
func (h *Host) manifest(name string) *module.Manifest {
	data, err := os.ReadFile(h.path("sys/module", name, "notes", module.NoteSection))
	if err != nil {
		return nil
	}
	m, err := module.ParseNote(data)
	if err != nil {
		return nil
	}
	return m
}
