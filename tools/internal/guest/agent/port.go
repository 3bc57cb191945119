package agent

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// portWait is how long the port may take to appear: the driver learns of its
// ports from the device some time after it was probed.
const portWait = 5 * time.Second

// openPort opens the virtio-serial port with this name.
func openPort(name string, wait time.Duration) (io.ReadWriteCloser, error) {
	for deadline := time.Now().Add(wait); ; time.Sleep(time.Millisecond) {
		dev, devices := findPort(name)
		if dev != "" {
			f, err := os.OpenFile(dev, os.O_RDWR, 0)
			if err != nil {
				return nil, err
			}
			return &port{f}, nil
		}
		// Without a single virtio-serial device there is nothing to wait for.
		if devices == 0 || time.Now().After(deadline) {
			return nil, fmt.Errorf("there is no virtio-serial port %q: this guest was not started by kernlab, or its kernel lacks CONFIG_VIRTIO_CONSOLE", name)
		}
	}
}

// findPort returns the device of a port, and how many devices might have it.
func findPort(name string) (dev string, devices int) {
	names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err == nil && strings.TrimSpace(string(data)) == name {
			return "/dev/" + filepath.Base(filepath.Dir(n)), 1
		}
	}
	drivers, _ := filepath.Glob("/sys/bus/virtio/drivers/virtio_console/virtio*")
	return "", len(drivers)
}

// port is a virtio-serial port. Until the device has told the driver that the
// host's end is open, a read returns 0 bytes; the host never closes it while
// the machine is on, so that is never the end.
type port struct{ f *os.File }

func (p *port) Read(b []byte) (int, error) {
	for {
		n, err := p.f.Read(b)
		if n > 0 || (err != nil && err != io.EOF) {
			return n, err
		}
		time.Sleep(time.Millisecond)
	}
}

func (p *port) Write(b []byte) (int, error) { return p.f.Write(b) }
func (p *port) Close() error                { return p.f.Close() }

// loopbackUp brings the loopback interface up, which everything expects.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil // a kernel without a network
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}
