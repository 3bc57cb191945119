// Package agent is the guest's end of the wire that package guest describes.
// Main is PID 1 of a guest: it mounts the kernel's file systems, says hello on
// the virtio-serial port and does what the host asks, until the host switches
// the machine off. Serve is the same without being PID 1, for tests.
//
// The agent has no policy: what is mounted, run and judged is the host's to
// say. It must start fast and stay small, for it is unpacked at every boot; so
// it starts processes with the syscall package and collects them itself, as
// PID 1 must for every orphan anyway.
package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/guest"
)

// Agent serves one host.
type Agent struct {
	conn     *guest.Conn
	reaper   *reaper
	poweroff func()

	mu   sync.Mutex
	beat chan struct{} // closed to stop the heartbeat
}

// Serve says hello on rw and serves the host until the channel ends. poweroff
// is called when the host asks for it.
func Serve(rw io.ReadWriteCloser, poweroff func()) error {
	a := &Agent{conn: guest.NewConn(rw), reaper: newReaper(), poweroff: poweroff}
	defer a.reaper.stop()
	hello, err := whoami()
	if err != nil {
		return err
	}
	if err := a.conn.Send(guest.Message{Type: guest.TypeHello, Time: hello.Boot, Hello: hello}); err != nil {
		return err
	}
	err = a.conn.Serve(a)
	a.heartbeat(0)
	return err
}

func whoami() (*guest.Hello, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, err
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return nil, err
	}
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		return nil, err
	}
	return &guest.Hello{
		Protocol: guest.Protocol,
		Release:  unix.ByteSliceToString(uts.Release[:]),
		Machine:  unix.ByteSliceToString(uts.Machine[:]),
		CPUs:     cpus.Count(),
		Memory:   uint64(info.Totalram) * uint64(info.Unit),
		Boot:     bootTime(),
	}, nil
}

// bootTime returns CLOCK_BOOTTIME.
func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// Message handles what is said to the agent as a whole.
func (a *Agent) Message(m guest.Message) error {
	switch {
	case m.Type == guest.TypePoweroff:
		go a.poweroff()
	case m.Type == guest.TypeConfigure && m.Configure != nil:
		a.heartbeat(m.Configure.Heartbeat)
	default:
		return fmt.Errorf("unexpected message %q", m.Type)
	}
	return nil
}

func (a *Agent) heartbeat(interval time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.beat != nil {
		close(a.beat)
		a.beat = nil
	}
	if interval <= 0 {
		return
	}
	stop := make(chan struct{})
	a.beat = stop
	go func() {
		tick := time.NewTicker(max(interval, 10*time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if a.conn.Send(guest.Message{Type: guest.TypeHeartbeat, Time: bootTime()}) != nil {
					return
				}
			}
		}
	}()
}

// Open starts what opens a session; every session ends with an exit message.
func (a *Agent) Open(s *guest.Session, m guest.Message) error {
	go func() {
		defer s.End()
		var exit guest.Exit
		var err error
		switch {
		case m.Type == guest.TypeRun && m.Run != nil:
			exit, err = a.run(s, m.Run)
		case m.Type == guest.TypePut && m.File != nil:
			go cancellable(s)
			err = put(s, m.File)
		case m.Type == guest.TypeGet && m.File != nil:
			go cancellable(s)
			err = get(s, m.File)
		case m.Type == guest.TypeMount && m.Mount != nil:
			err = mount(m.Mount)
		case m.Type == guest.TypeRoot && m.Root != nil:
			err = switchRoot(m.Root)
		default:
			err = fmt.Errorf("unknown request %q", m.Type)
		}
		if err != nil {
			exit = guest.Exit{Error: err.Error()}
		}
		_ = s.Out(guest.Stdout).Close()
		_ = s.Out(guest.Stderr).Close()
		_ = s.Send(guest.Message{Type: guest.TypeExit, Time: bootTime(), Exit: &exit})
	}()
	return nil
}

// cancellable ends the streams of a session that the host gives up.
func cancellable(s *guest.Session) {
	for {
		m, err := s.Next()
		if err != nil {
			return
		}
		if m.Type == guest.TypeCancel {
			s.Abort(errors.New("the host gave it up"))
		}
	}
}

// Main is the agent as PID 1. It does not return while the machine is on.
func Main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is the agent that runs as PID 1 in a kernlab guest; it is of no use by hand")
		os.Exit(2)
	}
	// A parent that crashes takes the machine with it, visibly: the kernel
	// panics when PID 1 ends.
	if err := mountKernel(); err != nil {
		panic(err)
	}
	_ = unix.Sethostname([]byte("guest"))
	if err := loopbackUp(); err != nil {
		fmt.Fprintln(os.Stderr, "cloudkernel: agent:", err)
	}
	port, err := openPort(guest.PortName, portWait)
	if err != nil {
		fmt.Fprintf(os.Stderr, "cloudkernel: agent: %v; switching off\n", err)
		poweroff()
	}
	if err := Serve(port, poweroff); err != nil {
		panic(fmt.Errorf("agent: the channel to the host broke: %w", err))
	}
	fmt.Fprintln(os.Stderr, "cloudkernel: agent: the host closed the channel; switching off")
	poweroff()
}

// poweroff switches the machine off. One without the firmware for it would
// halt and stay on; for QEMU, started with -no-reboot, a reset is as good.
func poweroff() {
	unix.Sync()
	how := unix.LINUX_REBOOT_CMD_RESTART
	for _, firmware := range []string{"/sys/firmware/acpi", "/sys/firmware/devicetree/base/psci"} {
		if _, err := os.Stat(firmware); err == nil {
			how = unix.LINUX_REBOOT_CMD_POWER_OFF
		}
	}
	err := unix.Reboot(how)
	panic(fmt.Errorf("power off: %w", err))
}

// environ is what commands get when they ask for nothing else.
var environ = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root",
	"USER=root",
	"LOGNAME=root",
	"SHELL=/bin/sh",
	"TERM=linux",
	"LANG=C.UTF-8",
}
