package livepatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"cloudkernel/kpatch-arm64/image"
	"cloudkernel/kpatch-arm64/module"
)

// File is a hotpatch module as it lies on disk.
type File struct {
	Path     string
	Data     []byte
	SHA256   string
	Manifest *module.Manifest
}

// ReadFile reads a hotpatch module, and refuses what is none.
func ReadFile(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := module.ReadManifest(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	sum := sha256.Sum256(data)
	return &File{Path: path, Data: data, SHA256: hex.EncodeToString(sum[:]), Manifest: m}, nil
}

// Finding is what one check found.
type Finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	// Fatal is set when the hotpatch cannot, or must not, be applied.
	Fatal bool   `json:"fatal"`
	What  string `json:"what"`
	Hint  string `json:"hint,omitempty"`
}

func (f Finding) String() string {
	if f.Hint != "" {
		return f.What + " (" + f.Hint + ")"
	}
	return f.What
}

// Check finds out whether a hotpatch can be applied to this host now. Every
// check is reported, also those that found nothing wrong.
func (h *Host) Check(f *File) []Finding {
	c := &checker{h: h, f: f}
	c.root()
	c.machine()
	if c.support() {
		c.kernel()
		c.signature()
		c.name()
		c.modules()
		c.overlap()
		c.stacks()
	}
	c.journal()
	return c.found
}

// Failed returns the findings that forbid applying, as an error.
func Failed(found []Finding) error {
	var errs []error
	for _, f := range found {
		if f.Fatal {
			errs = append(errs, errors.New(f.String()))
		}
	}
	return errors.Join(errs...)
}

type checker struct {
	h     *Host
	f     *File
	found []Finding
}

func (c *checker) ok(check, format string, args ...any) {
	c.found = append(c.found, Finding{Check: check, OK: true, What: fmt.Sprintf(format, args...)})
}

func (c *checker) warn(check, hint, format string, args ...any) {
	c.found = append(c.found, Finding{Check: check, What: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *checker) bad(check, hint, format string, args ...any) {
	c.found = append(c.found, Finding{Check: check, Fatal: true, What: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *checker) root() {
	if uid := c.h.sys.uid(); uid != 0 {
		c.bad("root", "run it as root", "only root may load modules, and this is user %d", uid)
		return
	}
	c.ok("root", "root may load modules")
}

// machines maps the kernel's names of architectures to those of uname.
var machines = map[string]string{"arm64": "aarch64", "x86_64": "x86_64"}

func (c *checker) machine() {
	m, err := c.h.sys.machine()
	want := machines[c.f.Manifest.Arch]
	switch {
	case err != nil:
		c.bad("architecture", "", "find out the architecture: %v", err)
	case m != want:
		c.bad("architecture", "", "it is for %s, and this host is %s", c.f.Manifest.Arch, m)
	default:
		c.ok("architecture", "%s", m)
	}
}

func (c *checker) support() bool {
	if err := c.h.Supported(); err != nil {
		what, hint, _ := strings.Cut(err.Error(), ": ")
		c.bad("livepatch", hint, "%s", what)
		return false
	}
	c.ok("livepatch", "the kernel has livepatch support")
	return true
}

func (c *checker) kernel() {
	release, err := c.h.Release()
	m := c.f.Manifest
	if err != nil {
		c.bad("release", "mount -t proc proc /proc", "find out the kernel's release: %v", err)
		return
	}
	if release != m.Release {
		c.bad("release", "build it for this kernel", "it is for kernel %s, and this is %s", m.Release, release)
		return
	}
	c.ok("release", "%s", release)
	id, err := c.h.BuildID(image.Vmlinux)
	switch {
	case err != nil:
		c.bad("build-id", "", "find out the kernel's build-id: %v", err)
	case m.BuildID == "" || id == "":
		c.bad("build-id", "build the kernel with a build-id", "the kernel has no build-id, so that it cannot be told whether this hotpatch was made for it")
	case id != m.BuildID:
		c.bad("build-id", "build it from the directory this very kernel was built in", "it is for the build %s of this release, and this is %s", m.BuildID, id)
	default:
		c.ok("build-id", "%s", id)
	}
}

func (c *checker) signature() {
	why, signed := c.h.signaturesEnforced(), Signed(c.f.Data)
	switch {
	case why != "" && !signed:
		c.bad("signature", "sign it with a key the kernel knows: hotpatch sign", "%s, and it is not signed", why)
	case why != "":
		c.ok("signature", "it is signed; whether the kernel knows the key shows when it is loaded")
	default:
		c.ok("signature", "none is needed")
	}
}

// name looks for what is already there under the hotpatch's name, and for
// transitions at work.
func (c *checker) name() {
	name := c.f.Manifest.Name
	state := c.h.State(name)
	if state == Absent {
		c.ok("name", "no module is called %s", name)
	} else if !c.h.same(c.f.Manifest) {
		c.bad("name", "give it another name (hotpatch build -o), or revert and unload the other", "another module called %s is in the kernel", name)
		return
	} else {
		c.ok("name", "it is already %s", state)
	}
	patches, _ := c.h.Patches()
	for _, p := range patches {
		if p.Name != name && (p.State == Applying || p.State == Reverting) {
			c.bad("transition", "wait until it ends: hotpatch status --watch", "the kernel is still %s %s, and does one at a time", p.State, p.Name)
			return
		}
	}
	c.ok("transition", "no other transition is at work")
}

// same reports whether the loaded module of a manifest's name has that very
// manifest.
func (h *Host) same(m *module.Manifest) bool {
	loaded := h.manifest(m.Name)
	if loaded == nil {
		return false
	}
	a, err1 := loaded.Note()
	b, err2 := m.Note()
	return err1 == nil && err2 == nil && bytes.Equal(a, b)
}

func (c *checker) modules() {
	for _, o := range c.f.Manifest.Objects {
		if o.Name == image.Vmlinux {
			continue
		}
		if !c.h.Loaded(o.Name) {
			c.ok("module", "module %s is not loaded; it is patched when it is", o.Name)
			continue
		}
		id, err := c.h.BuildID(o.Name)
		switch {
		case err != nil:
			c.bad("module", "", "find out the build-id of module %s: %v", o.Name, err)
		case id != o.BuildID:
			c.bad("module", "load the module that belongs to this kernel", "module %s is another build than the one it was made for", o.Name)
		default:
			c.ok("module", "module %s is the one it was made for", o.Name)
		}
	}
}

// overlap looks for applied patches that replace the same functions.
func (c *checker) overlap() {
	patches, err := c.h.Patches()
	if err != nil {
		c.bad("overlap", "", "read %s: %v", livepatchDir, err)
		return
	}
	mine := map[string]bool{}
	for _, o := range c.f.Manifest.Objects {
		for _, f := range o.Functions {
			mine[key(o.Name, f.Name, f.Sympos)] = true
		}
	}
	var others []string
	for _, p := range patches {
		if p.Name == c.f.Manifest.Name {
			continue
		}
		for _, o := range p.Objects {
			for _, f := range o.Functions {
				if mine[key(o.Name, f.Name, f.Sympos)] {
					others = append(others, fmt.Sprintf("%s (%s)", f.Name, p.Name))
				}
			}
		}
	}
	sort.Strings(others)
	switch {
	case len(others) == 0:
		c.ok("overlap", "no applied hotpatch replaces the same functions")
	case c.f.Manifest.Replace:
		c.ok("overlap", "it takes the place of %s", strings.Join(others, ", "))
	default:
		c.bad("overlap", "build all fixes into one hotpatch with --replace; or, if it contains the other fix, apply with --stack",
			"applied hotpatches already replace some of its functions, and what they fix there would be lost: %s", strings.Join(others, ", "))
	}
}

// key names a function; a position of 0 means that there is only one.
func key(object, name string, sympos int) string {
	return fmt.Sprintf("%s %s,%d", object, name, max(sympos, 1))
}

func (c *checker) stacks() {
	functions := map[string]bool{}
	for _, o := range c.f.Manifest.Objects {
		for _, f := range o.Functions {
			functions[f.Name] = true
		}
	}
	list := c.h.OnStacks(functions)
	if len(list) == 0 {
		c.ok("stacks", "no task sleeps in a function that is replaced")
		return
	}
	var names []string
	for i, t := range list {
		if i == 5 {
			names = append(names, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		names = append(names, fmt.Sprintf("%s (%d) in %s", t.Command, t.TID, t.Where))
	}
	c.warn("stacks", "the transition ends when they have left it", "tasks sleep in functions that are replaced: %s", strings.Join(names, ", "))
}

func (c *checker) journal() {
	dir := c.h.path(c.h.Dir)
	for { // the nearest directory that exists
		if _, err := os.Stat(dir); err == nil || dir == "/" {
			break
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".hotpatch-")
	if err == nil {
		_, err = f.Write(make([]byte, reserve))
		if err == nil {
			err = f.Sync()
		}
		f.Close()
		os.Remove(f.Name())
	}
	if err != nil {
		c.bad("journal", "make room or another directory (--dir)", "the journal in %s cannot be written: %v", c.h.path(c.h.Dir), err)
		return
	}
	c.ok("journal", "%s", c.h.journalPath())
}
