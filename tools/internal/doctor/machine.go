package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/gofrs/flock"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/store"
)

const (
	gib = 1 << 30

	// diskNeed holds the source, trees and builds of both architectures and
	// both profiles, the compiler cache and guest disks.
	diskNeed = 25 * gib

	// memoryNeed is a parallel build's, or a debug guest's beside QEMU itself;
	// less works for a default guest alone.
	memoryNeed = 4 * gib
)

// disk judges the space for the cache. What the cache already holds counts: a
// warm cache needs no more.
func disk(cacheDir string) Finding {
	f := Finding{Name: "disk", Group: Machine, Want: size(diskNeed), Uses: anything,
		Why: "sources, builds and guest disks in " + cacheDir}
	dir := nearest(cacheDir)
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		f.State, f.Found = Broken, fmt.Sprintf("cannot tell: statfs %s: %v", dir, err)
		return f
	}
	free := st.Bavail * uint64(st.Bsize)
	var used uint64
	if free < diskNeed { // measuring a full cache takes a while
		used = storeSize(cacheDir)
	}
	return judgeDisk(f, free, used)
}

func judgeDisk(f Finding, free, used uint64) Finding {
	f.Found = size(free) + " free"
	if used > 0 {
		f.Found += ", " + size(used) + " in use by the cache"
	}
	if free+used < diskNeed {
		f.State = Missing
		f.Fix = "put the cache on a larger disk: export CLOUDKERNEL_CACHE=DIR; or remove what is old: kernlab cache gc"
	}
	return f
}

func storeSize(dir string) (total uint64) {
	list, err := store.Open(dir).List()
	if err != nil {
		return 0
	}
	for _, e := range list {
		total += uint64(e.Size)
	}
	return total
}

// nearest returns dir, or the nearest directory above it that is there.
func nearest(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// memory judges the machine's memory, or its control group's limit where that
// is less.
func memory(root string) Finding {
	f := Finding{Name: "memory", Group: Machine, Want: size(memoryNeed), Uses: anything,
		Optional: true, Why: "the last link of a kernel, guests side by side"}
	total, err := memTotal(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		f.State, f.Found = Broken, "cannot tell: "+err.Error()
		return f
	}
	limit, err := os.ReadFile(filepath.Join(root, "sys/fs/cgroup/memory.max"))
	if n, perr := strconv.ParseUint(strings.TrimSpace(string(limit)), 10, 64); err == nil && perr == nil {
		total = min(total, n)
	}
	f.Found = size(total)
	// A machine sold as 4 GiB tells a little less.
	if total < memoryNeed*9/10 {
		f.State = Missing
		f.Fix = "give it more memory, or run one thing at a time: -j1"
	}
	return f
}

// memTotal reads MemTotal (kB there, bytes here) of proc_meminfo(5).
func memTotal(path string) (uint64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kb, err := strconv.ParseUint(fields[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no MemTotal", path)
}

// locks proves that flock(2) excludes in the cache directory, which some
// network file systems only pretend.
func locks(cacheDir string) Finding {
	f := Finding{Name: "file locks", Group: Machine, Uses: anything,
		Why: "two processes that want one kernel build it once"}
	if err := tryLocks(cacheDir); err != nil {
		f.State, f.Found = Broken, err.Error()
		f.Fix = "put the cache on a local file system that you may write to: export CLOUDKERNEL_CACHE=DIR"
		return f
	}
	f.Found = "work in " + cacheDir
	return f
}

func tryLocks(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	_ = file.Close()
	defer os.Remove(file.Name())
	one, two := flock.New(file.Name()), flock.New(file.Name())
	defer one.Close()
	defer two.Close()
	if ok, err := one.TryLock(); err != nil || !ok {
		return errors.Join(fmt.Errorf("cannot lock a file in %s", dir), err)
	}
	if ok, err := two.TryLock(); err != nil || ok {
		return errors.Join(fmt.Errorf("two locks on one file in %s: they do not exclude", dir), err)
	}
	if err := one.Close(); err != nil {
		return err
	}
	if ok, err := two.TryLock(); err != nil || !ok {
		return errors.Join(fmt.Errorf("a lock in %s outlives its file", dir), err)
	}
	return nil
}

// Accelerator returns the name of what runs guests of an architecture here
// (KVM, TCG) and says it in one line, with what it costs.
type Accelerator func(ctx context.Context, a *arch.Arch) (name, line string, err error)

// accelerator is never a lack: emulation works everywhere, only slower.
func accelerator(ctx context.Context, a *arch.Arch, probe Accelerator) Finding {
	f := Finding{Name: "accelerator " + a.Name, Group: Machine, Uses: []Use{Use("boot-" + a.Name)},
		Optional: true, Why: "how fast guests run"}
	name, line, err := probe(ctx, a)
	if err != nil {
		f.State, f.Found = Broken, err.Error()
		return f
	}
	f.Found, f.Why = name, line
	return f
}

// size writes bytes as GiB with one digit after the point.
func size(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/gib) }
