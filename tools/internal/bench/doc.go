// Package bench runs benchmarks: it reads what is declared beside the cases,
// has the kernels built, runs each variant on a rig, and hands what the probes
// printed to package measure, which says what may be claimed of it.
//
// # Model
//
// A benchmark is one file, qemu-tests/<topic>/bench/<name>.yaml: what machine
// it needs, what is brought along, the script that runs the probe, the metrics
// it prints, and the variants that are compared: the series, the series without
// a topic, the plain base, other boot parameters, sysctls, configurations or
// machines (variant.go). The probe prints its results in Go's benchmark format.
//
//	benchmarks × variants × rounds = trials    (runner.go)
//	a trial: one fresh guest, the script in it (deterministic.go, statistical.go, boot.go)
//	what it printed → a sample                 (package measure)
//
// # Rigs
//
// Deterministic (deterministic.go). QEMU counts instructions and makes one of
// them 1 ns (icount); there is one CPU, no randomness, no KASLR, and nothing
// that waits for the host: no agent, no disks, no network. PID 1 is a small
// program of ours (rig/init.c) that runs the script from the initramfs and
// prints its output on the console. Every trial is made twice, and if the two
// consoles differ in a single byte, there is no result: what would be reported
// as exact is not.
//
// Statistical (statistical.go). The guest is the one that cases run in, with as
// many CPUs as wanted, under KVM or MTTCG, and time is wall time. Every sample
// is a boot of its own, and the variants take turns, A B A B, so that a slow
// drift of the host falls on all of them.
//
// Both rigs refuse a sample in which the kernel complained.
//
// Boots themselves (boot.go) are benchmarks whose probe is PID 1 itself: the
// deterministic rig counts instructions from reset to PID 1, the statistical
// one takes the wall time from QEMU's start.
package bench
