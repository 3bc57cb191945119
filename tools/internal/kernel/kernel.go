package kernel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cloudkernel/tools/internal/arch"
)

// Request says which kernel is wanted.
type Request struct {
	Arch    *arch.Arch
	Profile string   // "default", or the name of a fragment such as "debug"
	Without []string // topics left out
	Plain   bool     // the base alone, without the series
	Prefix  int      // if not 0, only the first so many patches of the series
	Options []string // more configuration, as lines: CONFIG_X=y, or CONFIG_X=n
}

// normal returns the request in the one form that equal requests share.
func (r Request) normal() Request {
	if r.Profile == "" {
		r.Profile = DefaultProfile
	}
	r.Without = slices.Compact(slices.Sorted(slices.Values(r.Without)))
	if r.Plain {
		r.Without, r.Prefix = nil, 0
	}
	r.Options = slices.Compact(slices.Sorted(slices.Values(r.Options)))
	return r
}

// DefaultProfile is the profile that adds no fragment of its own.
const DefaultProfile = "default"

// String describes the request as its flags would ("arm64 debug --without vmf").
func (r Request) String() string {
	r = r.normal()
	s := r.Arch.Name
	if r.Profile != DefaultProfile {
		s += " " + r.Profile
	}
	if r.Plain {
		s += " --plain"
	}
	for _, t := range r.Without {
		s += " --without " + t
	}
	if r.Prefix > 0 {
		s += fmt.Sprintf(" (first %d patches)", r.Prefix)
	}
	for _, o := range r.Options {
		s += " --option " + o
	}
	return s
}

// lane names the source tree the request is built in. Each repository has its
// own, so that two of them do not undo each other's files in turn.
func (r Request) lane(baseDigest, root string) string {
	sum := sha256.Sum256([]byte(root))
	name := baseDigest[:12] + "-" + hex.EncodeToString(sum[:3])
	switch {
	case r.Plain:
		name += "-plain"
	case r.Prefix > 0:
		name += "-prefix" // one lane for all: each step builds on the one before
	case len(r.Without) > 0:
		name += "-without-" + strings.Join(r.Without, "+")
	default:
		name += "-series"
	}
	return name
}

// Kernel is a built kernel in the store. Paths are absolute; they stay valid
// until the release function that came with it is called.
type Kernel struct {
	Arch   *arch.Arch `json:"-"`
	Dir    string     `json:"-"`
	Cached bool       `json:"-"` // it was in the store already
	Source string     `json:"-"` // names, besides what Key does, the pages and tests in the source tree
	Info
}

// Info is what is written beside a kernel about how it came to be.
type Info struct {
	Key       string    `json:"key"`
	ArchName  string    `json:"arch"`
	Profile   string    `json:"profile"`
	Without   []string  `json:"without,omitempty"`
	Plain     bool      `json:"plain,omitempty"`
	Options   []string  `json:"options,omitempty"`
	Release   string    `json:"release"`  // uname -r
	BuildID   string    `json:"build_id"` // GNU build id of vmlinux, hex
	Base      string    `json:"base"`     // version of the base: 6.12.117
	BaseSum   string    `json:"base_digest"`
	Toolchain []string  `json:"toolchain"` // first line of each tool's --version
	Objects   int       `json:"objects"`   // compiled in this build
	Seconds   float64   `json:"seconds"`   // wall time of the build
	Warnings  []string  `json:"warnings,omitempty"`
	Built     time.Time `json:"built"`
}

// Image returns the path of the bootable image.
func (k *Kernel) Image() string { return filepath.Join(k.Dir, filepath.Base(k.Arch.ImagePath)) }

// Vmlinux returns the path of the ELF file with debug information.
func (k *Kernel) Vmlinux() string { return filepath.Join(k.Dir, "vmlinux") }

// Config returns the path of the full configuration.
func (k *Kernel) Config() string { return filepath.Join(k.Dir, "config") }

// SystemMap returns the path of System.map.
func (k *Kernel) SystemMap() string { return filepath.Join(k.Dir, "System.map") }

// ModuleSymvers returns the path of Module.symvers, which a kernel that takes
// no modules does not have.
func (k *Kernel) ModuleSymvers() string { return filepath.Join(k.Dir, "Module.symvers") }

// Modules returns the directory whose lib/modules holds the kernel's modules,
// or "" when it has none.
func (k *Kernel) Modules() string {
	dir := filepath.Join(k.Dir, "modules")
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

const infoFile = "kernel.json"

// open reads the kernel that the entry in dir holds.
func open(dir string) (*Kernel, error) {
	data, err := os.ReadFile(filepath.Join(dir, infoFile))
	if err != nil {
		return nil, fmt.Errorf("read a cached kernel: %w; remove it with 'kernlab cache gc'", err)
	}
	k := &Kernel{Dir: dir}
	if err := json.Unmarshal(data, &k.Info); err != nil {
		return nil, fmt.Errorf("read %s: %w; remove it with 'kernlab cache gc'", filepath.Join(dir, infoFile), err)
	}
	k.Arch, err = arch.Parse(k.ArchName)
	return k, err
}
