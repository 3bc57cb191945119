package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"cloudkernel/tools/internal/proc"
)

// Machine is a QEMU process.
type Machine struct {
	// Console is what the guest printed.
	Console *Log
	// Args is the command line, without the program's name.
	Args []string
	// PID is QEMU's process.
	PID int

	cancel context.CancelFunc
	qmp    *qmp
	stderr *bounded
	done   chan struct{}
	err    error // valid after done
}

// Options are what Start needs beside the Spec.
type Options struct {
	Dir    string            // where files of the machine may be put
	LogTo  string            // path of the console's log; "" for none
	OnLine func(line string) // is called with each line of the console
}

// ErrNoQEMU means that the emulator is not installed.
var ErrNoQEMU = errors.New("QEMU is not installed")

// Start starts a machine. It is killed when ctx is done.
func Start(ctx context.Context, spec Spec, opt Options) (*Machine, error) {
	initrd, err := concatenate(spec.Initrd, opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("make the initramfs: %w", err)
	}
	c, err := spec.build(initrd)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := SocketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c.add("-chardev", "socket,id=qmp,fd="+c.fd(theirs), "-mon", "chardev=qmp,mode=control")

	log, err := NewLog(opt.LogTo, opt.OnLine)
	if err != nil {
		ours.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &Machine{
		Console: log, Args: c.args, cancel: cancel,
		stderr: &bounded{max: 64 << 10}, done: make(chan struct{}),
	}
	cmd := proc.Command(ctx, Binary(spec.Arch), c.args...)
	cmd.Stdout, cmd.Stderr = log, m.stderr
	cmd.ExtraFiles = c.files
	if err := cmd.Start(); err != nil {
		cancel()
		ours.Close()
		log.Close()
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("%w: %s is not in PATH; 'kernlab doctor' says how to get it", ErrNoQEMU, Binary(spec.Arch))
		}
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	m.PID = cmd.Process.Pid
	m.qmp = newQMP(ours)
	go m.wait(cmd)
	return m, nil
}

func (m *Machine) wait(cmd *exec.Cmd) {
	err := cmd.Wait()
	_ = m.qmp.rw.Close()
	if cerr := m.Console.Close(); cerr != nil && err == nil {
		err = fmt.Errorf("write the console's log: %w", cerr)
	}
	if text := m.Stderr(); err != nil && text != "" {
		err = fmt.Errorf("qemu: %s (%w)", text, err)
	} else if err != nil {
		err = fmt.Errorf("qemu: %w", err)
	}
	m.err = err
	m.cancel()
	close(m.done)
}

// Done is closed when QEMU has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Err returns nil if QEMU ended as one does whose guest switched itself off or
// reset itself, and otherwise why it ended, in QEMU's own words. It is valid
// after Done.
func (m *Machine) Err() error { return m.err }

// Reason returns why the machine stopped, as QMP's SHUTDOWN event has it
// ("guest-shutdown", "guest-reset", "host-signal", …), or "".
func (m *Machine) Reason() string { return m.qmp.reason() }

// Stderr returns what QEMU itself said.
func (m *Machine) Stderr() string {
	return strings.TrimSpace(strings.ReplaceAll(m.stderr.String(), "qemu-system-", ""))
}

// Execute runs a QMP command.
func (m *Machine) Execute(command string, arguments any) (json.RawMessage, error) {
	return m.qmp.execute(command, arguments)
}

// Kill ends QEMU and waits for its end.
func (m *Machine) Kill() {
	m.cancel()
	<-m.done
}

// SocketPair returns the two ends of a stream socket: ours as a connection, and
// the other as a file for QEMU to inherit, which the caller closes after Start.
func SocketPair() (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket")
	defer ours.Close() // FileConn duplicates it
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return conn, theirs, nil
}

// concatenate returns a file that holds the archives one after the other: what
// the kernel takes for one initramfs. Uncompressed ones must start at a
// multiple of 4 bytes.
func concatenate(parts []string, dir string) (string, error) {
	switch len(parts) {
	case 0:
		return "", nil
	case 1:
		return parts[0], nil
	}
	path := filepath.Join(dir, "initrd")
	w, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer w.Close()
	for _, p := range parts {
		if err := appendFile(w, p); err != nil {
			return "", err
		}
	}
	return path, w.Close()
}

func appendFile(w io.Writer, path string) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := io.Copy(w, r)
	if err != nil {
		return err
	}
	_, err = w.Write(make([]byte, -n&3))
	return err
}

// bounded keeps the first max bytes written to it.
type bounded struct {
	mu  sync.Mutex
	buf bytes.Buffer
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(p[:min(len(p), b.max-b.buf.Len())])
	return len(p), nil
}

func (b *bounded) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
