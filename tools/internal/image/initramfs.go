package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"cloudkernel/tools/internal/arch"
)

// Initramfs returns the archive that every guest of an architecture boots
// from: the agent as /init, and busybox. It is not compressed: unpacking a
// compressed one costs the guest more than reading a larger one costs the host.
// release gives the file up.
func (m *Maker) Initramfs(ctx context.Context, a *arch.Arch) (path string, release func(), err error) {
	agent, err := m.agent(ctx, a)
	if err != nil {
		return "", nil, err
	}
	box, err := m.busybox(ctx, a)
	if err != nil {
		return "", nil, err
	}
	entries, err := baseEntries(agent, box)
	if err != nil {
		return "", nil, err
	}
	var archive bytes.Buffer
	if err := WriteCPIO(&archive, entries); err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(archive.Bytes())
	key := fmt.Sprintf("%s-%x", a.Name, sum[:12])
	dir, release, err := m.Store.Get(ctx, "initramfs", key, nil, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "initramfs.cpio"), archive.Bytes(), 0o644)
	})
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(dir, "initramfs.cpio"), release, nil
}

// baseEntries lists the base archive's files. The layout is that of a Debian
// with a merged /usr, so that a disk of packages can be laid over it.
func baseEntries(agent, box []byte) ([]Entry, error) {
	applets, err := busyboxApplets(box)
	if err != nil {
		return nil, err
	}
	list := []Entry{
		{Path: "/init", Mode: 0o755, Data: agent},
		{Path: "/usr/bin/busybox", Mode: 0o755, Data: box},
		// The kernel itself calls this one.
		{Path: "/usr/sbin/modprobe", Mode: fs.ModeSymlink, Link: "../bin/busybox"},
		{Path: "/bin", Mode: fs.ModeSymlink, Link: "usr/bin"},
		{Path: "/sbin", Mode: fs.ModeSymlink, Link: "usr/sbin"},
		{Path: "/lib", Mode: fs.ModeSymlink, Link: "usr/lib"},
		{Path: "/lib64", Mode: fs.ModeSymlink, Link: "usr/lib64"},
		{Path: "/root", Mode: fs.ModeDir | 0o700},
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")},
		{Path: "/etc/group", Mode: 0o644, Data: []byte("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n")},
		{Path: "/etc/hosts", Mode: 0o644, Data: []byte("127.0.0.1 localhost\n::1 localhost\n")},
		{Path: "/etc/hostname", Mode: 0o644, Data: []byte("guest\n")},
		{Path: "/etc/resolv.conf", Mode: 0o644, Data: []byte("nameserver 10.0.2.3\n")},
		{Path: "/etc/nsswitch.conf", Mode: 0o644, Data: []byte("passwd: files\ngroup: files\nhosts: files dns\n")},
		{Path: "/etc/profile", Mode: 0o644, Data: []byte("PS1='guest:\\w\\$ '\n")},
	}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/tmp", "/run", "/mnt", "/usr/lib", "/usr/lib64", "/var/tmp", "/var/lib", "/var/log"} {
		list = append(list, Entry{Path: dir, Mode: fs.ModeDir | 0o755})
	}
	list = append(list, Entry{Path: "/var/run", Mode: fs.ModeSymlink, Link: "../run"})
	// All applets are in /usr/bin, the last directory of the PATH: whatever a
	// package brings of the same name is found first, or replaces the link.
	for _, name := range applets {
		if name != "init" && name != "linuxrc" && name != "busybox" {
			list = append(list, Entry{Path: "/usr/bin/" + name, Mode: fs.ModeSymlink, Link: "busybox"})
		}
	}
	return list, nil
}

// busyboxApplets returns the names that a busybox binary answers to. It cannot
// be asked when it is of another architecture, but holds them as a sorted list
// of strings, which begins with the two names of test.
func busyboxApplets(box []byte) ([]string, error) {
	begin := []byte("\x00[\x00[[\x00")
	i := bytes.Index(box, begin)
	if i < 0 {
		return nil, errors.New("busybox: no list of applets in the binary")
	}
	var names []string
	for rest := box[i+1:]; ; {
		name, after, ok := bytes.Cut(rest, []byte{0})
		if !ok || len(name) == 0 {
			break
		}
		names = append(names, string(name))
		rest = after
	}
	if len(names) < 50 {
		return nil, fmt.Errorf("busybox: only %d applets in the binary", len(names))
	}
	return names, nil
}
