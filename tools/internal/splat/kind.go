package splat

// Kind is what sort of complaint a splat is.
type Kind string

// The kinds, as they stand in ci/allowed-splats.yaml and in case files.
const (
	Oops          Kind = "oops"           // a fault the kernel could not handle
	Bug           Kind = "bug"            // BUG(), and lines that start with "BUG:"
	Warning       Kind = "warning"        // WARN()
	KASAN         Kind = "kasan"          // also KFENCE, KMSAN and KCSAN
	UBSAN         Kind = "ubsan"          //
	Kmemleak      Kind = "kmemleak"       //
	Lockdep       Kind = "lockdep"        // the lock validator, suspicious RCU usage included
	Atomic        Kind = "atomic"         // sleeping or scheduling where that is not allowed
	RCUStall      Kind = "rcu-stall"      //
	HungTask      Kind = "hung-task"      //
	SoftLockup    Kind = "soft-lockup"    //
	HardLockup    Kind = "hard-lockup"    //
	WorkqueueHang Kind = "workqueue-hang" //
	OOM           Kind = "oom"            // the OOM killer, for the machine or a memory cgroup
	AllocFailure  Kind = "alloc-failure"  // a page allocation that failed loudly
	List          Kind = "list"           // list corruption
	Refcount      Kind = "refcount"       //
	Slab          Kind = "slab"           // SLUB's consistency checks
	Unwind        Kind = "unwind"         // the unwinder met a stack it cannot read
	BTF           Kind = "btf"            // type information that does not fit the kernel
	NoRoot        Kind = "no-root"        // no root file system to mount
	Panic         Kind = "panic"          // a panic that no splat before explains
)

// Kinds lists every kind.
var Kinds = []Kind{
	Oops, Bug, Warning, KASAN, UBSAN, Kmemleak, Lockdep, Atomic, RCUStall, HungTask, SoftLockup, HardLockup,
	WorkqueueHang, OOM, AllocFailure, List, Refcount, Slab, Unwind, BTF, NoRoot, Panic,
}

// Splat is one complaint.
type Splat struct {
	Kind  Kind
	Title string   // one line; equal for equal faults
	Text  []string // the raw lines, first to last
	Line  int      // number of the first line on the console, from 1
	// Fatal says that the kernel stopped after this.
	Fatal bool
}
