package livepatch

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudkernel/kpatch-arm64/image"
)

// Host is the machine that hotpatches run on.
type Host struct {
	// Root is put before every path, for tests; "" on a real host.
	Root string
	// Dir holds the journal and the installed hotpatches.
	Dir string
	sys system
}

// DefaultDir is where the journal and installed hotpatches are kept.
const DefaultDir = "/var/lib/hotpatch"

// This returns the host that the process runs on, with its files in dir.
func This(dir string) *Host {
	if dir == "" {
		dir = DefaultDir
	}
	return &Host{Dir: dir, sys: kernel{}}
}

// system is what is asked of the kernel by system call.
type system interface {
	load(module []byte) error
	unload(name string) error
	uid() int
	machine() (string, error)
	now() time.Time
}

type kernel struct{}

func (kernel) load(module []byte) error { return unix.InitModule(module, "") }

func (kernel) unload(name string) error { return unix.DeleteModule(name, unix.O_NONBLOCK) }

func (kernel) uid() int { return os.Geteuid() }

func (kernel) now() time.Time { return time.Now() }

func (kernel) machine() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Machine[:]), nil
}

// path returns where a file of the host is.
func (h *Host) path(parts ...string) string {
	return filepath.Join(append([]string{"/", h.Root}, parts...)...)
}

// line returns the first line of a small file, without its end.
func (h *Host) line(parts ...string) (string, error) {
	data, err := os.ReadFile(h.path(parts...))
	if err != nil {
		return "", err
	}
	s, _, _ := strings.Cut(string(data), "\n")
	return s, nil
}

// Release returns what uname -r says.
func (h *Host) Release() (string, error) { return h.line("proc/sys/kernel/osrelease") }

// BootID returns a text that is another one after every boot.
func (h *Host) BootID() string {
	id, err := h.line("proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return id
}

// BuildID returns the build-id of the running kernel, or of a loaded module,
// in hexadecimal. It is "" for one that was linked without.
func (h *Host) BuildID(object string) (string, error) {
	file := h.path("sys/kernel/notes")
	if object != image.Vmlinux {
		file = h.path("sys/module", object, "notes/.note.gnu.build-id")
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, n := range image.Notes(data) {
		if n.Name == "GNU" && n.Type == 3 { // NT_GNU_BUILD_ID
			return fmt.Sprintf("%x", n.Desc), nil
		}
	}
	return "", nil
}

// Loaded reports whether a module is in the kernel.
func (h *Host) Loaded(module string) bool {
	_, err := os.Stat(h.path("sys/module", module))
	return err == nil
}

// signaturesEnforced says why the kernel refuses modules without a signature
// it knows, or "" if it does not.
func (h *Host) signaturesEnforced() string {
	if v, err := h.line("sys/module/module/parameters/sig_enforce"); err == nil && v == "Y" {
		return "module signatures are enforced (module.sig_enforce)"
	}
	if v, err := h.line("sys/kernel/security/lockdown"); err == nil {
		if _, rest, ok := strings.Cut(v, "["); ok {
			if mode, _, _ := strings.Cut(rest, "]"); mode != "none" {
				return "the kernel is locked down (" + mode + ")"
			}
		}
	}
	return ""
}

// Signed reports whether a module carries a signature, known or not: the
// kernel looks for this text at the end of the file (kernel/module/signing.c).
func Signed(module []byte) bool {
	return bytes.HasSuffix(module, []byte("~Module signature appended~\n"))
}
