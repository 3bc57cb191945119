// Package proc prepares outside programs so that they die with us: a child
// gets its own process group, the whole group is ended when the context is,
// and the kernel kills the child if this process is killed.
//
// It is one of the few packages that may import os/exec; packages that own an
// outside program (git, kbuild, QEMU) start it through Command.
package proc

import (
	"context"
	"os/exec"
	"syscall"
	"time"
)

// grace is how long a child may take to end after it was asked to.
const grace = 3 * time.Second

// Command returns a command like exec.CommandContext whose process group is
// asked to end (SIGTERM) when ctx is done and killed after a grace of 3 s.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error {
		pid := cmd.Process.Pid
		time.AfterFunc(grace, func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
		return syscall.Kill(-pid, syscall.SIGTERM)
	}
	cmd.WaitDelay = grace + time.Second
	return cmd
}
