package run

import (
	"bufio"
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// room is what guests share: cores, and memory in MiB.
//
// A guest takes a core for each thread that runs its CPUs, whether it computes
// or sleeps, and most sleep a good part of their time. So where cores are seen to
// be idle another guest is let in, until there are overcommit times as many
// threads as cores.
type room struct {
	cpus, memory int64 // cores, for as many threads that run guests' CPUs
	// How long cores had nothing to do, all together; nil: nobody asks.
	idle func() (time.Duration, error)

	mu                   sync.Mutex
	usedCPUs, usedMemory int64
	changed              chan struct{} // closed when somebody comes or leaves
}

const (
	overcommit = 4
	// A guest that boots keeps a core busy.
	spareCores = 0.75
	// So long the cores are watched, with the same guests all the time.
	lookFor = time.Second
)

// newRoom returns the room for jobs threads that run CPUs (0: as many as cores
// are seen to allow) in free MiB of memory. A guest that is larger than the room
// has it to itself.
func newRoom(jobs, free int) *room {
	r := &room{cpus: int64(jobs), memory: int64(max(free, 1)), changed: make(chan struct{})}
	if jobs <= 0 {
		r.cpus, r.idle = int64(runtime.NumCPU()), idleTime
	}
	return r
}

// enter waits until there is room for j. leave gives it back.
func (r *room) enter(ctx context.Context, j *job) (leave func(), err error) {
	cpus := min(int64(j.threads), r.cpus)
	memory := min(int64(j.memory)+qemuMemory, r.memory)
	spare := 0.0
	for {
		changed, entered := r.try(cpus, memory, spare)
		if entered {
			return func() { r.take(-cpus, -memory) }, nil
		}
		if spare, err = r.watch(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// try enters if there is room. changed is closed when that may be different.
func (r *room) try(cpus, memory int64, spare float64) (changed <-chan struct{}, entered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fits(cpus, memory, spare) {
		return r.changed, false
	}
	r.add(cpus, memory)
	return nil, true
}

// fits says whether so many threads and so much memory may come in while spare
// cores are idle.
func (r *room) fits(cpus, memory int64, spare float64) bool {
	if r.usedMemory+memory > r.memory {
		return false
	}
	if r.usedCPUs+cpus <= r.cpus {
		return true
	}
	return spare >= spareCores && r.usedCPUs+cpus <= overcommit*r.cpus
}

func (r *room) take(cpus, memory int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(cpus, memory)
}

func (r *room) add(cpus, memory int64) {
	r.usedCPUs += cpus
	r.usedMemory += memory
	close(r.changed)
	r.changed = make(chan struct{})
}

// watch returns how many cores had nothing to do for a while, or 0 at once when
// somebody came or left meanwhile.
func (r *room) watch(ctx context.Context, changed <-chan struct{}) (spare float64, err error) {
	var over <-chan time.Time
	var before time.Duration
	begin := time.Now()
	if r.idle != nil {
		if before, err = r.idle(); err == nil {
			over = time.After(lookFor)
		}
	}
	select {
	case <-changed:
		return 0, nil
	case <-over:
		after, err := r.idle()
		if err != nil {
			return 0, nil
		}
		return (after - before).Seconds() / time.Since(begin).Seconds(), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// idleTime returns the time that all cores together were idle: idle and iowait
// of the first line of /proc/stat (proc_stat(5)), in units of 1/100 s.
func idleTime() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(stat), "\n")
	return parseIdle(first)
}

func parseIdle(line string) (time.Duration, error) {
	const idle, iowait, tick = 4, 5, 10 * time.Millisecond
	fields := strings.Fields(line)
	if len(fields) <= iowait || fields[0] != "cpu" {
		return 0, strconv.ErrSyntax
	}
	var sum time.Duration
	for _, f := range fields[idle : iowait+1] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// qemuMemory is what QEMU takes beside the guest's memory, in MiB: mostly
// translated code under TCG.
const qemuMemory = 300

// freeMemory returns the MiB that guests may have: three quarters of what the
// machine has available, since others want some too.
func freeMemory() int {
	const fallback = 4096
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return fallback
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemAvailable:" {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				return fallback
			}
			return kib / 1024 * 3 / 4
		}
	}
	return fallback
}
