package run

import (
	"bufio"
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sync/semaphore"
)

// room is what guests share: cores, and memory in MiB.
type room struct {
	cpus, memory      int64 // cores, for as many threads that run guests' CPUs
	cpuSem, memorySem *semaphore.Weighted
}

// newRoom returns the room for jobs threads that run CPUs (0: as many as there
// are cores) in free MiB of memory. A guest that is larger than the room has it
// to itself.
func newRoom(jobs, free int) *room {
	if jobs <= 0 {
		jobs = runtime.NumCPU()
	}
	r := &room{cpus: int64(jobs), memory: int64(max(free, 1))}
	r.cpuSem, r.memorySem = semaphore.NewWeighted(r.cpus), semaphore.NewWeighted(r.memory)
	return r
}

// enter waits until there is room for j. leave gives it back.
func (r *room) enter(ctx context.Context, j *job) (leave func(), err error) {
	cpus := min(int64(j.threads), r.cpus)
	memory := min(int64(j.memory)+qemuMemory, r.memory)
	if err := r.cpuSem.Acquire(ctx, cpus); err != nil {
		return nil, err
	}
	if err := r.memorySem.Acquire(ctx, memory); err != nil {
		r.cpuSem.Release(cpus)
		return nil, err
	}
	return func() {
		r.memorySem.Release(memory)
		r.cpuSem.Release(cpus)
	}, nil
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
