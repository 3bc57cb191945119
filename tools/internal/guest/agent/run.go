package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/guest"
)

// drain is how long output is waited for after a command's own end: a child
// it left behind may hold its pipes for ever.
const drain = 500 * time.Millisecond

// run runs a command to its end.
func (a *Agent) run(s *guest.Session, c *guest.Command) (guest.Exit, error) {
	if len(c.Argv) == 0 {
		return guest.Exit{}, errors.New("no command")
	}
	env := mergeEnv(environ, c.Env)
	path, err := lookPath(c.Argv[0], env)
	if err != nil {
		return guest.Exit{}, err
	}
	dir := c.Dir
	if dir == "" {
		dir = homeDir(env, c.UID)
	}
	attr := &syscall.ProcAttr{Dir: dir, Env: env, Sys: &syscall.SysProcAttr{Setsid: true}}
	if c.UID != 0 || c.GID != 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID}
	}
	var std stdio
	if c.TTY {
		std, err = newTTY(c.Size, c.UID)
	} else {
		std, err = newPipes()
	}
	if err != nil {
		return guest.Exit{}, err
	}
	attr.Files = std.child()
	attr.Sys.Setctty = c.TTY // of descriptor 0

	pid, ended, err := a.reaper.start(path, c.Argv, attr)
	std.closeChild()
	if err != nil {
		std.closeAll()
		return guest.Exit{}, fmt.Errorf("start %s: %w", path, err)
	}
	if err := s.Send(guest.Message{Type: guest.TypeStarted, Time: bootTime(), PID: pid}); err != nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		std.closeAll()
		return guest.Exit{}, err
	}
	go a.obey(s, pid, std)
	pumped := std.pump(s)

	status := <-ended
	select {
	case <-pumped:
	case <-time.After(drain):
	}
	std.detach(s)
	exit := guest.Exit{Code: status.ExitStatus()}
	if status.Signaled() {
		exit = guest.Exit{Code: -1, Signal: int(status.Signal())}
	}
	return exit, nil
}

// homeDir returns where a command starts that does not say: in root's home, or
// in / for others, to whom that is closed.
func homeDir(env []string, uid uint32) string {
	home := getenv(env, "HOME")
	if st, err := os.Stat(home); uid != 0 || err != nil || !st.IsDir() {
		return "/"
	}
	return home
}

// obey does what the host says to a running command.
func (a *Agent) obey(s *guest.Session, pid int, std stdio) {
	for {
		m, err := s.Next()
		if err != nil {
			return // the session has ended
		}
		switch {
		case m.Type == guest.TypeSignal:
			signalSession(pid, syscall.Signal(m.Signal))
		case m.Type == guest.TypeResize && m.Size != nil:
			std.resize(*m.Size)
		}
	}
}

// signalSession signals the process group of a command, and the other groups
// of its session: a shell with job control makes one for every job.
func signalSession(sid int, sig syscall.Signal) {
	groups := map[int]bool{sid: true}
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// pid (comm) state ppid pgrp session …; comm may hold anything.
		_, rest, ok := strings.Cut(string(data[max(0, strings.LastIndexByte(string(data), ')')):]), ") ")
		var state string
		var ppid, pgrp, session int
		if n, _ := fmt.Sscan(rest, &state, &ppid, &pgrp, &session); ok && n == 4 && session == sid {
			groups[pgrp] = true
		}
	}
	for g := range groups {
		_ = syscall.Kill(-g, sig)
	}
}

// stdio is how a command's streams are connected.
type stdio interface {
	child() []uintptr // descriptors 0, 1, 2 of the command
	closeChild()
	closeAll()
	// pump starts copying between the command and the session; the channel is
	// closed when all output was sent.
	pump(s *guest.Session) <-chan struct{}
	// detach ends what pump started; output of what the command left behind
	// is discarded.
	detach(s *guest.Session)
	resize(guest.Size)
}

// pipes are three pipes: [0] is read, [1] written.
type pipes struct {
	in, out, err [2]*os.File
}

func newPipes() (_ stdio, err error) {
	p := &pipes{}
	defer func() {
		if err != nil {
			p.closeAll()
		}
	}()
	for _, pp := range []*[2]*os.File{&p.in, &p.out, &p.err} {
		if pp[0], pp[1], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *pipes) child() []uintptr {
	return []uintptr{rawFd(p.in[0]), rawFd(p.out[1]), rawFd(p.err[1])}
}

// rawFd returns f's descriptor. File.Fd makes it blocking, which the ends
// that are the command's should be.
func rawFd(f *os.File) uintptr { return f.Fd() }

func (p *pipes) closeChild() {
	for _, f := range []*os.File{p.in[0], p.out[1], p.err[1]} {
		_ = f.Close()
	}
}

func (p *pipes) closeAll() {
	for _, pp := range [][2]*os.File{p.in, p.out, p.err} {
		for _, f := range pp {
			if f != nil {
				_ = f.Close()
			}
		}
	}
}

func (p *pipes) pump(s *guest.Session) <-chan struct{} {
	go func() {
		_, _ = io.Copy(p.in[1], s.In(guest.Stdin))
		_ = p.in[1].Close()
		s.Drop(guest.Stdin)
	}()
	var wg sync.WaitGroup
	for stream, f := range map[uint8]*os.File{guest.Stdout: p.out[0], guest.Stderr: p.err[0]} {
		wg.Add(1)
		go func() {
			_, _ = io.Copy(s.Out(stream), f)
			_ = s.Out(stream).Close()
			wg.Done()
			_, _ = io.Copy(io.Discard, f)
			_ = f.Close()
		}()
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	return done
}

func (p *pipes) detach(s *guest.Session) { s.Drop(guest.Stdin) }
func (p *pipes) resize(guest.Size)       {}

// terminal is a pseudo terminal.
type terminal struct{ master, slave *os.File }

func newTTY(size *guest.Size, uid uint32) (stdio, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	t := &terminal{master, slave}
	if size != nil {
		t.resize(*size)
	}
	if uid != 0 {
		_ = slave.Chown(int(uid), -1)
	}
	return t, nil
}

func (t *terminal) child() []uintptr {
	fd := rawFd(t.slave)
	return []uintptr{fd, fd, fd}
}

func (t *terminal) closeChild() { _ = t.slave.Close() }
func (t *terminal) closeAll()   { _ = t.slave.Close(); _ = t.master.Close() }

func (t *terminal) pump(s *guest.Session) <-chan struct{} {
	go func() {
		// The end of the input is not the terminal's: as in ssh, the command
		// is told with the end-of-file character.
		if _, err := io.Copy(t.master, s.In(guest.Stdin)); err == nil {
			_, _ = t.master.Write([]byte{4})
		}
		s.Drop(guest.Stdin)
	}()
	_ = s.Out(guest.Stderr).Close()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(s.Out(guest.Stdout), t.master) // ends with EIO when nobody has the slave open
		_ = s.Out(guest.Stdout).Close()
		close(done)
		_, _ = io.Copy(io.Discard, t.master)
		_ = t.master.Close()
	}()
	return done
}

func (t *terminal) detach(s *guest.Session) { s.Drop(guest.Stdin) }

func (t *terminal) resize(size guest.Size) {
	// Not pty.Setsize, which must not race with Close.
	raw, err := t.master.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
	})
}

// mergeEnv returns base with what add says; a later one wins.
func mergeEnv(base, add []string) []string {
	var env []string
	at := map[string]int{}
	for _, kv := range append(append([]string(nil), base...), add...) {
		name, _, ok := strings.Cut(kv, "=")
		if !ok {
			continue
		}
		if i, ok := at[name]; ok {
			env[i] = kv
			continue
		}
		at[name] = len(env)
		env = append(env, kv)
	}
	return env
}

func getenv(env []string, name string) string {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// lookPath finds a command as a shell does.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(getenv(env, "PATH")) {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && !st.IsDir() && unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: not found in PATH", name)
}
