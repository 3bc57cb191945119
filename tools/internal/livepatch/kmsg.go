package livepatch

import (
	"strings"

	"golang.org/x/sys/unix"
)

// kmsg follows the kernel's messages from the moment it is opened.
type kmsg struct{ fd int }

// openKmsg starts following; where that is not allowed there are no messages.
func (h *Host) openKmsg() *kmsg {
	fd, err := unix.Open(h.path("dev/kmsg"), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &kmsg{-1}
	}
	if _, err := unix.Seek(fd, 0, 2); err != nil { // SEEK_END: after the last message
		unix.Close(fd)
		return &kmsg{-1}
	}
	return &kmsg{fd}
}

func (k *kmsg) close() {
	if k.fd >= 0 {
		unix.Close(k.fd)
	}
}

// about returns the messages so far that are about livepatches or a module.
func (k *kmsg) about(name string) []string {
	var list []string
	buf := make([]byte, 8192)
	for k.fd >= 0 {
		n, err := unix.Read(k.fd, buf)
		if err == unix.EPIPE { // messages were overwritten; go on with the next
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		// priority,sequence,timestamp,flags;text
		_, text, ok := strings.Cut(string(buf[:n]), ";")
		text, _, _ = strings.Cut(text, "\n")
		if ok && (strings.Contains(text, "livepatch") || strings.Contains(text, name)) {
			list = append(list, text)
		}
	}
	return list
}
