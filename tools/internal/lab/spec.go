package lab

import (
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/store"
)

// Spec is a guest. Only Arch, Kernel, Store and Repo must be set.
type Spec struct {
	Arch   *arch.Arch
	Kernel string       // path of the bootable image
	Store  *store.Store // where images are kept
	Repo   string       // directory of the repository, which the agent is built from

	Machine   string // QEMU's machine; default: the architecture's
	CPUs      int    // default 2
	CPUModel  string // see machine.Spec
	MemoryMiB int    // default 1024
	Cmdline   string // added last to the kernel's

	// Initramfs is the base archive, where the caller has it from image.Maker
	// already; "" makes sure that it is up to date.
	Initramfs string

	Packages      []string      // Debian packages that the root has
	Shares        []Share       // directories of the host
	Files         []image.Entry // put into the initramfs
	Disks         []machine.Disk
	Network       bool // a user-mode network card, set up as eth0
	NestedKVM     bool // virtual machines inside the guest
	Deterministic bool // see machine.Spec
	InstructionNs int  // likewise

	GDB     *machine.GDB
	Devices []machine.Device // whatever else

	// Timeout bounds the time from QEMU's start to the hello; default
	// DefaultTimeout, none with GDB.
	Timeout time.Duration
	// Heartbeat, if not 0, makes the agent send a sign of life this often.
	Heartbeat time.Duration

	// Dir is where the run's files go: console.log, qemu.txt. It is kept.
	// Without it they are in a temporary directory that Close removes.
	Dir string
	// OnLine is called with each line of the console.
	OnLine func(line string)
	// Progress is where a person may read what takes long.
	Progress io.Writer
}

// DefaultTimeout is how long a guest may take to its hello. A lean one takes a
// second or two; one with every debugging option, emulated on a busy machine,
// a minute.
const DefaultTimeout = 3 * time.Minute

// Share is a directory of the host in the guest.
type Share struct {
	Dir      string // on the host
	Path     string // in the guest, absolute
	ReadOnly bool
}

// ParseShare reads DIR[:GUESTPATH][:ro]. Without GUESTPATH it is /mnt/ and
// DIR's last element.
func ParseShare(s string) (Share, error) {
	var sh Share
	rest, ro := strings.CutSuffix(s, ":ro")
	sh.ReadOnly = ro
	sh.Dir, sh.Path, _ = strings.Cut(rest, ":")
	if sh.Dir == "" {
		return sh, fmt.Errorf("share %q names no directory: it is DIR[:GUESTPATH][:ro]", s)
	}
	dir, err := filepath.Abs(sh.Dir)
	if err != nil {
		return sh, err
	}
	sh.Dir = dir
	switch {
	case sh.Path == "" && dir == "/":
		sh.Path = "/mnt/host"
	case sh.Path == "":
		sh.Path = "/mnt/" + filepath.Base(dir)
	case !path.IsAbs(sh.Path):
		return sh, fmt.Errorf("share %q: the path in the guest must be absolute", s)
	}
	return sh, nil
}
