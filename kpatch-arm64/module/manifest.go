package module

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"

	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/image"
)

// NoteSection holds the manifest: an ELF note whose description is JSON. It is
// loaded with the module, so a running kernel shows it in
// /sys/module/<name>/notes/.
const NoteSection = ".note.hotpatch"

// The note's owner and type.
const (
	noteName = "hotpatch"
	noteType = 1
)

// Manifest says what a module is and which kernel it is for.
type Manifest struct {
	Format int    `json:"format"` // 1
	Name   string `json:"name"`   // of the module
	// What the module was made for.
	Arch    string `json:"arch"`
	Release string `json:"release"`  // uname -r of the kernel
	BuildID string `json:"build_id"` // of vmlinux
	// What it was made from.
	Patches  []PatchFile `json:"patches"`
	Compiler string      `json:"compiler"`
	Linker   string      `json:"linker,omitempty"`
	Tool     string      `json:"tool"` // version of hotpatch
	Config   string      `json:"config_sha256,omitempty"`
	// What it does.
	Replace bool             `json:"atomic_replace"`
	Objects []ManifestObject `json:"objects"`
	// Pinned says why the module should stay loaded after a revert, if it
	// should.
	Pinned []string `json:"pinned,omitempty"`
	Notes  []string `json:"notes,omitempty"`
	// Warnings are what the compiler could not judge.
	Warnings []string `json:"warnings,omitempty"`
}

// PatchFile is one source patch.
type PatchFile struct {
	Name    string `json:"name"`
	SHA256  string `json:"sha256"`
	Subject string `json:"subject,omitempty"`
}

// ManifestObject is a patched object: vmlinux or a module.
type ManifestObject struct {
	Name      string             `json:"name"`
	BuildID   string             `json:"build_id,omitempty"` // of a module
	Files     []string           `json:"files"`
	Functions []ManifestFunction `json:"functions"`
	New       []string           `json:"new_functions,omitempty"`
	Data      []string           `json:"new_data,omitempty"`
	Callbacks []string           `json:"callbacks,omitempty"`
}

// ManifestFunction is a replaced function.
type ManifestFunction struct {
	Name   string `json:"name"`
	Sympos int    `json:"sympos"`
	// Size is that of the replacement's code, in bytes.
	Size uint64 `json:"size"`
}

// Describe fills in what a plan knows: what the module does.
func (p *Plan) Describe(m *Manifest) {
	m.Format, m.Replace = 1, p.Replace
	objects := map[string]*ManifestObject{}
	for _, part := range p.Parts {
		o := objects[part.Image.Name]
		if o == nil {
			o = &ManifestObject{Name: part.Image.Name, Functions: []ManifestFunction{}}
			if part.Image.Name != image.Vmlinux {
				o.BuildID = part.Image.BuildID
			}
			objects[part.Image.Name] = o
		}
		o.Files = append(o.Files, part.Name)
		for _, f := range part.Diff.New {
			o.New = append(o.New, f.Name)
		}
		for _, d := range part.Diff.Data {
			o.Data = append(o.Data, d.Name)
		}
		m.Notes = append(m.Notes, part.Diff.Notes...)
		for _, w := range part.Diff.Warnings { // of a header, every object says the same
			if !slices.Contains(m.Warnings, w) {
				m.Warnings = append(m.Warnings, w)
			}
		}
		m.Pinned = append(m.Pinned, part.Diff.Pinned...)
	}
	for _, f := range p.funcs {
		o := objects[f.part.Image.Name]
		o.Functions = append(o.Functions, ManifestFunction{f.old.Name, f.old.Pos, f.Patched.Size() - f.Patched.Entry})
	}
	for _, c := range p.callbacks() {
		o := objects[c.part.Image.Name]
		o.Callbacks = append(o.Callbacks, c.kind)
	}
	m.Objects = nil
	for _, o := range objects {
		m.Objects = append(m.Objects, *o)
	}
	sort.Slice(m.Objects, func(i, j int) bool { return m.Objects[i].Name < m.Objects[j].Name })
}

// Note returns the manifest as the content of NoteSection.
func (m *Manifest) Note() ([]byte, error) {
	desc, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	name := noteName + "\x00"
	b := le.AppendUint32(nil, uint32(len(name)))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, noteType)
	pad := func() {
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	b = append(b, name...)
	pad()
	b = append(b, desc...)
	pad()
	return b, nil
}

// ErrNoManifest says that a module was not made by hotpatch.
var ErrNoManifest = errors.New("the module has no manifest: it was not made by hotpatch")

// ParseNote reads a manifest from the content of NoteSection.
func ParseNote(b []byte) (*Manifest, error) {
	for _, n := range image.Notes(b) {
		if n.Name != noteName || n.Type != noteType {
			continue
		}
		m := &Manifest{}
		if err := json.Unmarshal(n.Desc, m); err != nil {
			return nil, fmt.Errorf("read the manifest: %w", err)
		}
		if m.Format != 1 {
			return nil, fmt.Errorf("the manifest has format %d, this hotpatch reads format 1: use a newer hotpatch", m.Format)
		}
		return m, nil
	}
	return nil, ErrNoManifest
}

// ReadManifest reads the manifest of a module from the content of its .ko.
func ReadManifest(data []byte) (*Manifest, error) {
	f, err := elfw.Read(data)
	if err != nil {
		return nil, err
	}
	s := f.Section(NoteSection)
	if s == nil {
		return nil, ErrNoManifest
	}
	return ParseNote(s.Data)
}
