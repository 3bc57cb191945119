// Readers reads a /proc with prometheus/procfs, the library of node_exporter,
// and says what it made of it. It fails on a file that the library refuses.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"
)

func main() {
	dir := procfs.DefaultMountPoint
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := read(dir); err != nil {
		fmt.Fprintln(os.Stderr, "readers:", err)
		os.Exit(1)
	}
}

func read(dir string) error {
	fs, err := procfs.NewFS(dir)
	if err != nil {
		return err
	}
	stat, err := fs.Stat()
	if err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	mem, err := fs.Meminfo()
	if err != nil {
		return fmt.Errorf("meminfo: %w", err)
	}
	if mem.MemTotal == nil || mem.MemAvailable == nil || mem.SwapTotal == nil {
		return fmt.Errorf("meminfo: a field is missing: %+v", mem)
	}
	cpus, err := fs.CPUInfo()
	if err != nil {
		return fmt.Errorf("cpuinfo: %w", err)
	}
	load, err := fs.LoadAvg()
	if err != nil {
		return fmt.Errorf("loadavg: %w", err)
	}
	swaps, err := fs.Swaps()
	if err != nil {
		return fmt.Errorf("swaps: %w", err)
	}
	for _, resource := range []string{"cpu", "io", "memory"} {
		psi, err := fs.PSIStatsForResource(resource)
		if err != nil {
			return fmt.Errorf("pressure/%s: %w", resource, err)
		}
		if psi.Some == nil {
			return fmt.Errorf("pressure/%s: no line that starts with some", resource)
		}
	}
	block, err := blockdevice.NewFS(dir, "/sys")
	if err != nil {
		return err
	}
	disks, err := block.ProcDiskstats()
	if err != nil {
		return fmt.Errorf("diskstats: %w", err)
	}
	if len(stat.CPU) != len(cpus) {
		return fmt.Errorf("stat has %d CPUs, cpuinfo %d", len(stat.CPU), len(cpus))
	}
	fmt.Printf("stat=%d cpuinfo=%d NumCPU=%d GOMAXPROCS=%d MemTotal=%d load1=%v btime=%d swaps=%d disks=%d\n",
		len(stat.CPU), len(cpus), runtime.NumCPU(), runtime.GOMAXPROCS(0), *mem.MemTotal, load.Load1,
		stat.BootTime, len(swaps), len(disks))
	return nil
}
