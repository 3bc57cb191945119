package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/guest"
)

// kernelMounts are the kernel's own file systems. An optional one may be
// missing from the kernel's configuration.
var kernelMounts = []struct {
	target, fstype string
	flags          uintptr
	data           string
	optional       bool
}{
	{"/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "", false},
	{"/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "", false},
	{"/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755", false},
	{"/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666", true},
	{"/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777", true},
	{"/dev/mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "", true},
	{"/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777", true},
	{"/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755", true},
	{"/sys/fs/cgroup", "cgroup2", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "", true},
	{"/sys/kernel/debug", "debugfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "", true},
	{"/sys/kernel/tracing", "tracefs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "", true},
	{"/sys/kernel/security", "securityfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "", true},
	{"/sys/fs/bpf", "bpf", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=0700", true},
}

func mountKernel() error {
	for _, m := range kernelMounts {
		// In sysfs the mount points are made by the kernel, or are not.
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			if m.optional {
				continue
			}
			return err
		}
		err := unix.Mount(m.fstype, m.target, m.fstype, m.flags, m.data)
		// A devtmpfs that the kernel mounted already is in order.
		if err != nil && !m.optional && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s on %s: %w", m.fstype, m.target, err)
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		_ = os.Symlink(target, "/dev/"+name)
	}
	return nil
}

func mount(m *guest.Mount) error {
	if !filepath.IsAbs(m.Target) {
		return fmt.Errorf("mount point %q: it must be an absolute path", m.Target)
	}
	if err := os.MkdirAll(m.Target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.Source, m.Target, m.Type, uintptr(m.Flags), m.Data); err != nil {
		return fmt.Errorf("mount %s (%s) on %s: %w", m.Source, m.Type, m.Target, explain(err, m.Type))
	}
	return nil
}

// explain says what the kernel means by "no such device".
func explain(err error, fstype string) error {
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("the kernel is built without the file system %s", fstype)
	}
	return err
}

// rootDir is where switchRoot puts its layers, in the initramfs.
const rootDir = "/.root"

// switchRoot lays a disk over the initramfs and enters the sum. Names on the
// disk win; what it lacks, a shell perhaps, is still the initramfs's.
func switchRoot(r *guest.Root) error {
	dev, err := diskBySerial(r.Serial)
	if err != nil {
		return err
	}
	disk, rw, root := rootDir+"/disk", rootDir+"/rw", rootDir+"/root"
	for _, dir := range []string{disk, rw, root} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	options := ""
	if r.Type == "ext4" {
		options = "noload"
	}
	if err := unix.Mount(dev, disk, r.Type, unix.MS_RDONLY, options); err != nil {
		return fmt.Errorf("mount %s (%s): %w", dev, r.Type, explain(err, r.Type))
	}
	if err := unix.Mount("tmpfs", rw, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	for _, dir := range []string{rw + "/upper", rw + "/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	layers := fmt.Sprintf("lowerdir=%s:/,upperdir=%s/upper,workdir=%s/work", disk, rw, rw)
	if err := unix.Mount("overlay", root, "overlay", 0, layers); err != nil {
		return fmt.Errorf("mount overlay (%s): %w", layers, explain(err, "overlay"))
	}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/tmp", "/run"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(dir, root+dir, "", unix.MS_MOVE, ""); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	// What was mounted elsewhere before, a share, comes along too.
	if err := moveRest(root); err != nil {
		return err
	}
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the new root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// moveRest moves the mounts that are not part of the new root into it.
func moveRest(root string) error {
	data, err := os.ReadFile(root + "/proc/self/mounts")
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(data), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || f[1] == "/" || strings.HasPrefix(f[1], rootDir+"/") {
			continue
		}
		target := root + f[1]
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(f[1], target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", f[1], err)
		}
	}
	return nil
}

// diskBySerial returns the device of a virtio disk.
func diskBySerial(serial string) (string, error) {
	names, _ := filepath.Glob("/sys/block/*/serial")
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err == nil && strings.TrimSpace(string(data)) == serial {
			return "/dev/" + filepath.Base(filepath.Dir(name)), nil
		}
	}
	return "", fmt.Errorf("no disk with the serial number %q among %v", serial, names)
}
