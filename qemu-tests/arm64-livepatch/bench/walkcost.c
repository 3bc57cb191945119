// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to walk a stack, in instructions: on a machine whose clock
 * counts them, a nanosecond is one.
 *
 * Of two tasks that sleep, one has a deeper stack. That its walk takes longer is
 * due to the frames that it has more. These are of the kernel proper in one
 * pair of tasks (kthreadd, and the shell that waits for insmod), and of a
 * module, whose text has to be looked up, in the other (two threads that sleep
 * in a recursion of this module).
 */

#include <linux/completion.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/stacktrace.h>

#define WALKS	100

static int (*walk_reliable)(stack_trace_consume_fn fn, void *cookie,
			    struct task_struct *task);
static void (*walk_plain)(stack_trace_consume_fn fn, void *cookie,
			  struct task_struct *task, struct pt_regs *regs);

static DECLARE_COMPLETION(leave);

static noinline int deep(int n)
{
	int ret = 0;

	if (n == 0)
		wait_for_completion(&leave);
	else
		ret = deep(n - 1) + 1;
	barrier();

	return ret;
}

static int sleeper(void *depth)
{
	return deep((long)depth);
}

static bool count(void *frames, unsigned long pc)
{
	++*(int *)frames;
	return true;
}

static u64 reliable(struct task_struct *task, int *frames)
{
	u64 start = ktime_get_ns();
	int i;

	for (i = 0; i < WALKS; i++) {
		*frames = 0;
		if (walk_reliable(count, frames, task))
			return 0;
	}
	return ktime_get_ns() - start;
}

static u64 plain(struct task_struct *task, int *frames)
{
	u64 start = ktime_get_ns();
	int i;

	for (i = 0; i < WALKS; i++) {
		*frames = 0;
		walk_plain(count, frames, task, NULL);
	}
	return ktime_get_ns() - start;
}

static int measure(const char *name, struct task_struct *tasks[2],
		   u64 (*walk)(struct task_struct *task, int *frames))
{
	int frames[2], i;
	u64 ns[2], frame;

	for (i = 0; i < 2; i++) {
		unsigned long flags;

		walk(tasks[i], &frames[i]);	/* warm */
		local_irq_save(flags);
		ns[i] = walk(tasks[i], &frames[i]);
		local_irq_restore(flags);
	}
	if (!ns[0] || !ns[1] || frames[1] <= frames[0] || ns[1] <= ns[0]) {
		pr_err("%s: %d frames in %llu ns, %d frames in %llu ns\n", name,
		       frames[0], ns[0], frames[1], ns[1]);
		return -EINVAL;
	}

	frame = (ns[1] - ns[0]) / (frames[1] - frames[0]);
	pr_info("BenchmarkWalk/%s %d %llu.%02llu ns/frame\n", name, WALKS,
		frame / WALKS, frame % WALKS);
	return 0;
}

static int __init walkcost_init(void)
{
	/* Neither walker is exported, and neither may be probed. */
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	unsigned long (*lookup)(const char *name);
	struct task_struct *tasks[2], *core[2];
	int ret, i;

	ret = register_kprobe(&probe);
	if (ret)
		return ret;
	lookup = (void *)probe.addr;
	unregister_kprobe(&probe);

	walk_reliable = (void *)lookup("arch_stack_walk_reliable");
	walk_plain = (void *)lookup("arch_stack_walk");
	if (!walk_plain)
		return -ENOENT;

	for (i = 0; i < 2; i++) {
		tasks[i] = kthread_run(sleeper, (void *)(i ? 40L : 8L), "walkcost%d", i);
		if (IS_ERR(tasks[i])) {
			ret = PTR_ERR(tasks[i]);
			goto out;
		}
		while (READ_ONCE(tasks[i]->__state) != TASK_UNINTERRUPTIBLE ||
		       READ_ONCE(tasks[i]->on_cpu))
			schedule_timeout_uninterruptible(1);
	}

	/* The parent of insmod, and that of kthreads, do not go away. */
	core[0] = rcu_access_pointer(tasks[0]->real_parent);
	core[1] = rcu_access_pointer(current->real_parent);

	ret = measure("walker=plain/text=kernel", core, plain);
	if (!ret)
		ret = measure("walker=plain/text=module", tasks, plain);
	if (!ret && walk_reliable)
		ret = measure("walker=reliable/text=kernel", core, reliable);
	if (!ret && walk_reliable)
		ret = measure("walker=reliable/text=module", tasks, reliable);
out:
	complete_all(&leave);
	/* Before their text goes away. */
	schedule_timeout_uninterruptible(HZ / 10);
	return ret;
}

static void __exit walkcost_exit(void)
{
}

module_init(walkcost_init);
module_exit(walkcost_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("instructions that the stack walkers take");
