package splat

import (
	"regexp"
	"strings"
)

// symbolRE is a symbol as %pS prints it: name+offset/size, and the module it
// is in. Offset and size are hexadecimal, in bytes.
var symbolRE = regexp.MustCompile(`([A-Za-z_.$][\w.$]*)\+0x([0-9a-f]+)/0x([0-9a-f]+)(?: \[([\w-]+)(?: [0-9a-f]+)?\])?`)

// traceRE is a line of a call trace: x86 marks what it only guesses by "? ".
var traceRE = regexp.MustCompile(`^\s*(\? )?` + symbolRE.String() + `(?: \([A-Z]+\))?\s*$`)

// counterRE is a line that says where the program counter was.
var counterRE = regexp.MustCompile(`^(?:pc : |RIP: [0-9a-f]{4}:)` + symbolRE.String())

// frame is one line of a call trace, or the program counter.
type frame struct {
	function string
	guess    bool // x86: found on the stack, perhaps left over
	counter  bool // the program counter itself, not a return address
}

func parseFrame(text string) (frame, bool) {
	if m := counterRE.FindStringSubmatch(text); m != nil {
		return frame{function: m[1], counter: true}, true
	}
	if m := traceRE.FindStringSubmatch(text); m != nil {
		return frame{function: m[2], guess: m[1] != ""}, true
	}
	return frame{}, false
}

// reporters are functions that lead to a complaint, or that wait or lock on
// behalf of others: the fault is in who called them.
var reporters = regexp.MustCompile(`^(?:` + strings.Join([]string{
	// printing
	`dump_stack(?:_lvl)?|show_stack|dump_backtrace|show_regs|__warn\w*|warn_slowpath\w*|report_bug|handle_bug|exc_invalid_op`,
	`asm_exc_\w+|print_\w+|kasan_\w+|__kasan_\w+|__asan_\w+|__hwasan_\w+|check_region_inline|kfence_\w+|__?ubsan_\w+|__ubsan_\w+`,
	`check_panic_on_warn|panic|vpanic|__stack_chk_fail|nmi_\w+|watchdog_\w+|rcu_dump_cpu_stacks|sched_show_task|lockdep_rcu_suspicious`,
	`kmemleak_\w*|kmem_cache_alloc\w*|warn_alloc|__alloc_pages\w*|alloc_pages\w*|___kmalloc_large_node|__kmalloc\w*|kmalloc\w*|__kmalloc_large_node\w*`,
	// memory the caller passed in
	`refcount_\w+|__refcount_\w+|__list_\w+|list_(?:add|del)\w*|memcpy|memset|memmove|__memcpy|__memset|__memmove|__pi_\w+|strlen|strcmp|strncmp|memcmp`,
	`kfree|kmem_cache_free|slab_free\w*|object_err|slab_err|slab_bug|check_(?:bytes_and_report|object)|free_(?:debug_processing|to_partial_list)`,
	// context checks
	`__might_\w+|__cant_\w+|__schedule_bug|check_preemption_disabled|debug_smp_processor_id`,
	// waiting
	`__schedule|schedule\w*|__switch_to|io_schedule\w*|preempt_schedule\w*|wait_for_\w+|__wait_\w+|do_wait_\w+|msleep\w*|usleep_\w+|context_switch`,
	`__delay|__const_udelay|__udelay|delay_\w+|__ndelay|ktime_get\w*|arch_counter_\w+|cpu_relax`,
	// locking
	`check_wait_context|check_\w*(?:lock|deadlock|noncircular|irq_usage|prev\w*|chain\w*)\w*|validate_chain|mark_lock\w*|mark_usage|__lock_\w+|lock_(?:acquire|release)\w*|register_lock_class|find_usage\w*`,
	`_raw_\w+|do_raw_\w+|__raw_\w+|queued_\w+|native_queued_\w+|__?mutex_\w+|mutex_\w+|down_\w+|up_\w+|__down_\w+|__rwsem\w*|rwsem_\w+|rt_mutex\w*`,
}, "|") + `)$`)

// suffixRE is what the compiler appends to the name of a function it took
// apart or cloned.
var suffixRE = regexp.MustCompile(`\.(?:isra|constprop|part|cold|llvm|lto_priv)(?:\.\d+)*`)

// plain returns the name that the source has.
func plain(function string) string { return suffixRE.ReplaceAllString(function, "") }

// blame returns the function at fault: the first that does not only report.
func blame(frames []frame) string {
	for _, guesses := range []bool{false, true} {
		for _, f := range frames {
			if f.guess == guesses && !reporters.MatchString(plain(f.function)) {
				return plain(f.function)
			}
		}
	}
	if len(frames) > 0 {
		return plain(frames[0].function)
	}
	return ""
}
