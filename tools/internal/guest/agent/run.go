package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

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
