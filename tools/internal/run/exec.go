package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/outcome"
)

// Bounds of what is kept of a command's output.
const outputKept = 2 << 20 // bytes of each stream, from each end

// notFound is the exit code of what could not be started.
const notFound = 127

// ran is how a command in the guest ended.
type ran struct {
	exit           int
	took           time.Duration // guest time
	stdout, stderr string
	late           bool   // it was still running when its time was over
	hang           string // the guest went silent
	err            error  // the guest is gone, or the command could not be started
}

// exec runs a command and watches the guest meanwhile.
func (g *session) exec(ctx context.Context, cmd guest.Cmd, limit time.Duration) (r ran) {
	stdout, stderr := &ends{max: outputKept}, &ends{max: outputKept}
	cmd.Stdout = io.MultiWriter(stdout, g.teller())
	cmd.Stderr = io.MultiWriter(stderr, g.teller())
	defer func() { r.stdout, r.stderr = stdout.String(), stderr.String() }()

	p, err := g.Start(cmd)
	if err != nil {
		return ran{err: err}
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	type ended struct {
		status guest.Status
		err    error
	}
	end := make(chan ended, 1)
	go func() {
		status, err := p.Wait(waiting)
		end <- ended{status, err}
	}()
	r = g.watch(ctx, p, limit, func(d time.Duration) bool {
		select {
		case e := <-end:
			end <- e
			return true
		case <-time.After(d):
			return false
		}
	})
	stop()
	e := <-end
	switch {
	case ctx.Err() != nil:
		return ran{err: ctx.Err()}
	case r.late || r.hang != "":
		return r
	case errors.Is(e.err, guest.ErrGone):
		return ran{err: e.err}
	case e.err != nil:
		// The guest is well, but what to run is not there: as a shell has it.
		stderr.write(e.err.Error())
		r.exit = notFound
		return r
	}
	r.exit, r.took = e.status.Code, e.status.Ran
	if e.status.Signal != 0 {
		r.exit = 128 + e.status.Signal
	}
	return r
}

// watch waits for a command's end, its time, the guest's silence or its death,
// whichever comes first. wait waits for the command for a time and reports
// whether it ended.
func (g *session) watch(ctx context.Context, p *guest.Process, limit time.Duration, wait func(time.Duration) bool) (r ran) {
	const look = 200 * time.Millisecond
	start := time.Now()
	for {
		if wait(look) || ctx.Err() != nil {
			return r
		}
		if g.dying() {
			if !wait(max(dying, g.after)) {
				g.Kill()
			}
			return r
		}
		heard, _ := g.Heard()
		switch quiet := time.Since(heard); {
		case quiet > max(g.silence, g.after):
			r.hang = fmt.Sprintf("the guest fell silent: nothing heard of it for %s", quiet.Round(time.Second))
			g.console.prod()
			if g.Prod() {
				g.settle(ctx)
			}
			g.Kill()
			return r
		case limit > 0 && time.Since(start) > limit:
			r.late = true
			_ = p.Signal(syscall.SIGQUIT) // a Go program then says where it is
			wait(look)
			return r
		}
	}
}

// dying reports whether the kernel said that it is.
func (g *session) dying() bool {
	select {
	case <-g.console.died:
		return true
	default:
		return false
	}
}

// settle waits for a machine that was prodded to say what it has to say.
func (g *session) settle(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-g.Done():
	case <-time.After(dying):
	}
}

// teller passes lines of a command's output on to who watches the run.
func (g *session) teller() io.Writer {
	if g.tell == nil {
		return io.Discard
	}
	return &lines{to: g.tell}
}

// lines calls to with the last line of what is written at once: nobody can
// read them all, and a command may flood.
type lines struct {
	to   func(string)
	mu   sync.Mutex
	rest []byte // of a line that has not ended
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	if end := bytes.LastIndexByte(p, '\n'); end >= 0 {
		line := p[:end]
		if start := bytes.LastIndexByte(line, '\n') + 1; start > 0 {
			line, l.rest = line[start:], l.rest[:0]
		}
		l.to(string(append(l.rest, line...)))
		l.rest, p = l.rest[:0], p[end+1:]
	}
	const most = 4096
	l.rest = append(l.rest, p[:min(len(p), most-min(len(l.rest), most))]...)
	return n, nil
}

// ended turns the end of a guest into what is known of it.
func (g *session) ended(err error) (outcome.Outcome, string) {
	err = g.Explain(err)
	var known *outcome.Error
	if errors.As(err, &known) {
		return known.Outcome, known.Err.Error()
	}
	return outcome.Fail, err.Error()
}
