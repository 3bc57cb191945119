package agent

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// reaper collects every child that ends, ours and the orphans that fall to
// PID 1, and hands the status of ours to who waits for it.
type reaper struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus

	sigs chan os.Signal
	quit chan struct{}
}

func newReaper() *reaper {
	r := &reaper{
		waiting: map[int]chan syscall.WaitStatus{},
		sigs:    make(chan os.Signal, 1),
		quit:    make(chan struct{}),
	}
	signal.Notify(r.sigs, syscall.SIGCHLD)
	go r.loop()
	return r
}

func (r *reaper) stop() {
	signal.Stop(r.sigs)
	close(r.quit)
}

// start starts a process; its status comes on the channel. The lock is held so
// that a child that ends at once is known before its status is.
func (r *reaper) start(path string, argv []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	ch := make(chan syscall.WaitStatus, 1)
	r.waiting[pid] = ch
	return pid, ch, nil
}

func (r *reaper) loop() {
	for {
		select {
		case <-r.quit:
			return
		case <-r.sigs:
			r.collect()
		}
	}
}

// collect takes all children that have ended: one SIGCHLD can stand for many.
func (r *reaper) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ch := r.waiting[pid]; ch != nil {
			delete(r.waiting, pid)
			ch <- status
		}
	}
}
