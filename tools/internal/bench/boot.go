package bench

import (
	"fmt"
	"time"

	"cloudkernel/tools/internal/measure"
)

// bootMetrics are what a benchmark of boots measures.
func bootMetrics(rig measure.Rig) []Metric {
	lower := Better(measure.Lower)
	if rig == measure.Deterministic {
		return []Metric{
			{Unit: "pid1-ns", What: "guest time from reset to PID 1: 1 ns an instruction, and what the CPU waited for", Better: lower, Tolerance: 0.01},
			{Unit: "ready-ns", What: "guest time from reset until proc, sysfs and devtmpfs are mounted", Better: lower, Tolerance: 0.01},
		}
	}
	return []Metric{
		{Unit: "vmm-ns", What: "wall time from the start of QEMU to the first guest instruction", Better: lower},
		{Unit: "pid1-ns", What: "wall time from the first guest instruction to PID 1's first line", Better: lower},
		{Unit: "ready-ns", What: "wall time from the start of QEMU until PID 1 has mounted proc, sysfs and devtmpfs", Better: lower},
	}
}

// bootText says what a boot took, as a probe in the guest would.
func bootText(rig measure.Rig, m Marks) string {
	ns := func(d time.Duration) int64 { return d.Nanoseconds() }
	if rig == measure.Deterministic {
		return fmt.Sprintf("BenchmarkBoot 1 %d pid1-ns %d ready-ns\n", ns(m.PID1), ns(m.Ready))
	}
	return fmt.Sprintf("BenchmarkBoot 1 %d vmm-ns %d pid1-ns %d ready-ns\n", ns(m.Start), ns(m.PID1-m.Start), ns(m.Ready))
}
