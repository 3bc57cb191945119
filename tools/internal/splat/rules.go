package splat

import (
	"regexp"
	"strings"
)

// end says how the end of a report is known.
type end int

const (
	endTrace end = iota // by "---[ end trace …", or when what follows a call trace is something else
	endOnce             // it is this one line
	endRuler            // KASAN: by a second line of "="
	endOOM              // by the line that says who was killed
	endPanic            // with the console, or "---[ end Kernel panic"
	endLoose            // as endTrace, but several call traces with other lines between them belong to it
	endNone             // not known before the next step says what this is
)

// rule says that a line starts a report.
type rule struct {
	kind Kind
	re   *regexp.Regexp
	// title is the splat's title, with $1 … from re; a title that ends in
	// " in" is completed by the function at fault.
	title string
	end   end
	// joins lists the kinds of reports that such a line continues, if one is
	// open, because the kernel prints one fault in several steps. The first
	// step names the splat, unless it was only "cut here" or renames is set.
	joins    []Kind
	renames  bool
	verbatim bool // what the expression captures is in the title as it is
	// lateTrace says that call traces before "stack backtrace:" are not yet
	// the end of the report.
	lateTrace bool
}

const start Kind = "" // a report that so far is only "cut here"

// hints are fragments of which every line that starts a report has one. They
// are looked for first: consoles are long and regular expressions slow.
var hints = []string{
	"BUG", "WARNING", "Oops", "nternal error", "Unable to handle", "Kernel panic", "INFO: ", "cut here", "UBSAN",
	"KASAN", "kmemleak", "oom-killer", "LOCKUP", "corruption", "double add", "refcount_t", "allocation failure",
	"] BTF", "Killed process", "PANIC", "SError", "Insufficient stack", "unregister_netdevice", "self-detected", "detected stalls",
}

// rules are tried in order; the first that matches counts.
var rules = []rule{
	{kind: start, re: re(`^-+\[ cut here \]-+$`), end: endNone, joins: []Kind{List}},

	// Memory that is not what it should be. The message comes first, the
	// WARN or BUG that carries it second.
	{kind: List, re: re(`^(list_(?:add|del) (?:corruption|double add))`), title: "$1 in", joins: []Kind{start}},
	{kind: Refcount, re: re(`^(refcount_t: [^.]*)`), title: "$1 in", verbatim: true, joins: []Kind{start}},

	{kind: Warning, re: re(`^WARNING: CPU: \d+ PID: \d+ at (?:(\S+):\d+ )?([^\s+]+)`), title: "WARNING in $2 at $1",
		joins: []Kind{start, List, Refcount}},
	{kind: Bug, re: re(`^[kK]ernel BUG at (\S+?)(?::\d+)?!`), title: "kernel BUG at $1 in", joins: []Kind{start, List}},
	{kind: Bug, re: re(`^[kK]ernel BUG at `), title: "kernel BUG in", joins: []Kind{start, List}},

	// Faults. arm64 announces with "Unable to handle", x86 with "BUG:"; both
	// then count the oops.
	{kind: Oops, re: re(`^Unable to handle kernel (.*?) at virtual address`), title: "Oops: kernel $1 in"},
	{kind: Oops, re: re(`^BUG: (kernel NULL pointer dereference), address:`), title: "Oops: $1 in"},
	{kind: Oops, re: re(`^BUG: (unable to handle page fault) for address:`), title: "Oops: $1 in"},
	{kind: Oops, re: re(`^BUG: (\S+ stack guard page was hit) at`), title: "Oops: $1 in"},
	{kind: Oops, re: re(`^Insufficient stack space to handle exception!`), title: "Oops: kernel stack overflow in"},
	{kind: Oops, re: re(`^SError Interrupt on CPU\d+, code \S+ -- (.*)`), title: "Oops: $1 interrupt in"},
	{kind: Oops, re: re(`^(?:traps: )?PANIC: double fault`), title: "Oops: double fault in"},
	{kind: Oops, re: re(`^Internal error: Oops: [0-9a-f]+ \[#\d+\]`), title: "Oops in",
		joins: []Kind{start, Oops, Bug, UBSAN, List, Refcount}},
	{kind: Oops, re: re(`^Internal error: (?:Oops - )?(.*?): [0-9a-f]+ \[#\d+\]`), title: "Oops: $1 in",
		joins: []Kind{start, Oops, Bug, UBSAN, List, Refcount}},
	{kind: Oops, re: re(`^Oops: (.*?)(?:, probably for non-canonical address \S+|, maybe for address \S+)?: [0-9a-f]{4} \[#\d+\]`), title: "Oops: $1 in",
		joins: []Kind{start, Oops, Bug, UBSAN, List, Refcount}},
	{kind: KASAN, re: re(`^KASAN: (\S+) in range`), title: "KASAN: $1 in", joins: []Kind{Oops, Bug}},

	{kind: KASAN, re: re(`^BUG: (KASAN|KFENCE|KMSAN|KCSAN): (.*?) (?:in|at) (?:0x)?([A-Za-z_][^\s+]*)`), title: "$1: $2 in $3", end: endRuler},
	{kind: KASAN, re: re(`^BUG: (KASAN|KFENCE|KMSAN|KCSAN): (.*)`), title: "$1: $2 in", end: endRuler},
	{kind: UBSAN, re: re(`^UBSAN: (\S+) in (\S+?):\d+`), title: "UBSAN: $1 in $2", joins: []Kind{start}},
	{kind: Slab, re: re(`^BUG (\S+) \([^)]*\): (.*)`), title: "slab $1: $2 in", verbatim: true},
	{kind: Kmemleak, re: re(`^kmemleak: \d+ new suspected memory leaks`), title: "kmemleak: new suspected memory leaks", end: endOnce},

	// Locking and context.
	{kind: Lockdep, re: re(`^WARNING: suspicious RCU usage`), title: "suspicious RCU usage", lateTrace: true},
	{kind: Lockdep, re: re(`^WARNING: (possible circular locking dependency|possible recursive locking|possible irq lock inversion dependency|` +
		`inconsistent lock state|chain_key collision|Nested lock was not taken|bad unlock balance|bad contention|` +
		`held lock freed|lock held when returning to user space)`), title: "lockdep: $1 in", lateTrace: true},
	{kind: Lockdep, re: re(`^WARNING: (\S+-safe -> \S+-unsafe lock order) detected`), title: "lockdep: $1 in", lateTrace: true},
	{kind: Lockdep, re: re(`^WARNING: \S+/\d+ (still has locks held)!`), title: "lockdep: a task $1", lateTrace: true},
	{kind: Lockdep, re: re(`^\[ BUG: (Invalid wait context) \]`), title: "lockdep: $1 in", lateTrace: true},
	{kind: Lockdep, re: re(`^INFO: (trying to register non-static key)\.`), title: "lockdep: $1 in"},
	{kind: Atomic, re: re(`^BUG: (sleeping function called from invalid context) at (\S+?):\d+`), title: "BUG: $1 in"},
	{kind: Atomic, re: re(`^BUG: (scheduling while atomic):`), title: "BUG: $1 in"},
	{kind: Atomic, re: re(`^BUG: (assuming atomic context) at (\S+?):\d+`), title: "BUG: $1 in"},
	{kind: Atomic, re: re(`^BUG: (using \S+ in preemptible) `), title: "BUG: $1 code in"},
	{kind: Atomic, re: re(`^BUG: (workqueue leaked atomic, lock or RCU):`), title: "BUG: $1"},

	// Things that take too long.
	{kind: RCUStall, re: re(`^(?:rcu: )?INFO: (\S+ (?:self-detected stall on CPU|detected (?:expedited )?stalls on (?:CPUs/tasks|tasks)))`),
		title: "RCU stall: $1 in", end: endLoose, joins: []Kind{RCUStall}},
	{kind: HungTask, re: re(`^INFO: task (\S+?):\d+ blocked for more than \d+ seconds`), title: "hung task: $1 in"},
	{kind: SoftLockup, re: re(`^(?:watchdog: )?BUG: soft lockup - CPU#\d+ stuck for`), title: "soft lockup in"},
	{kind: HardLockup, re: re(`^(?:watchdog: |NMI watchdog: )?Watchdog detected hard LOCKUP on cpu`), title: "hard lockup in"},
	{kind: WorkqueueHang, re: re(`^BUG: workqueue lockup - pool`), title: "workqueue lockup", end: endLoose, joins: []Kind{WorkqueueHang}},

	// Memory that is not there.
	{kind: OOM, re: re(`^(.*?) invoked oom-killer: `), title: "OOM killer invoked by $1", end: endOOM},
	{kind: OOM, re: re(`^Out of memory[^:]*: Killed process \d+ \((.*?)\)`), title: "OOM kill of $1", end: endOnce, joins: []Kind{OOM}, renames: true},
	{kind: OOM, re: re(`^Memory cgroup out of memory[^:]*: Killed process \d+ \((.*?)\)`), title: "memory cgroup OOM kill of $1",
		end: endOnce, joins: []Kind{OOM}, renames: true},
	{kind: AllocFailure, re: re(`^.*?: page allocation failure: order:(\d+)`), title: "page allocation failure in", end: endLoose},

	// Odds and ends.
	{kind: Unwind, re: re(`^WARNING: (can't (?:access registers|dereference registers)|stack recursion|kernel stack (?:frame pointer|regs)|unrecognized unwind)`),
		title: "unwinder: $1", end: endOnce},
	{kind: BTF, re: re(`failed to validate module \[(\S+)\] BTF: `), title: "BTF of module $1 does not fit the kernel", end: endOnce},
	{kind: Warning, re: re(`^unregister_netdevice: waiting for (\S+) to become free`), title: "unregister_netdevice: waiting for $1 to become free", end: endOnce},
	{kind: Bug, re: re(`^BUG: (.*)`), title: "BUG: $1"},

	{kind: NoRoot, re: re(`^Kernel panic - not syncing: VFS: (Unable to mount root fs)`), title: "Kernel panic: VFS: $1", end: endPanic},
	{kind: NoRoot, re: re(`^Kernel panic - not syncing: (No working init found)`), title: "Kernel panic: $1", end: endPanic},
	{kind: Panic, re: re(`^Kernel panic - not syncing: (Attempted to kill init!)`), title: "Kernel panic: $1", end: endPanic},
	{kind: Panic, re: re(`^Kernel panic - not syncing: (.*)`), title: "Kernel panic: $1", end: endPanic},
}

// consequences are panics that only say what came before was the end.
var consequences = re(`^Kernel panic - not syncing: (?:.*Fatal exception|.*panic_on_warn set|softlockup: hung tasks|` +
	`hung_task: blocked tasks|RCU Stall|Hard LOCKUP|kernel stack overflow|.* stack guard hit|Asynchronous SError Interrupt|` +
	`stack guard page|Machine halted|Aiee, killing interrupt handler|System is deadlocked on memory|Out of memory|` +
	`Attempted to kill (?:init|the idle task))`)

func re(s string) *regexp.Regexp { return regexp.MustCompile(s) }

// match returns the rule by which text starts or continues a report, and what
// its expression captured.
func match(text string) (*rule, []string) {
	if !hinted(text) {
		return nil, nil
	}
	for i := range rules {
		if m := rules[i].re.FindStringSubmatch(text); m != nil {
			return &rules[i], m
		}
	}
	return nil, nil
}

func hinted(text string) bool {
	for _, h := range hints {
		if strings.Contains(text, h) {
			return true
		}
	}
	return false
}
