// SPDX-License-Identifier: GPL-2.0
/*
 * Faults to order, for the laboratory's tests of itself:
 *
 *	insmod splatter.ko fault=warn && rmmod splatter
 */
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *fault = "";
module_param(fault, charp, 0);
MODULE_PARM_DESC(fault, "what to do wrong");
static int seconds = 10;
module_param(seconds, int, 0);
MODULE_PARM_DESC(seconds, "how long to do it, if it takes time");

static DEFINE_SPINLOCK(first);
static DEFINE_SPINLOCK(second);
static int *volatile nowhere;

static noinline void splatter_warn(void)
{
	WARN(1, "splatter: %d is not right\n", 42);
}

static noinline void splatter_bug(void)
{
	BUG_ON(jiffies);
}

static noinline void splatter_null(void)
{
	*nowhere = 1;
}

static noinline void splatter_refcount(void)
{
	static refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
	barrier();	/* no tail call, as in splatter_hung() */
}

static noinline void splatter_atomic(void)
{
	preempt_disable();
	msleep(20);
	preempt_enable();
}

static noinline void splatter_lockup(void)
{
	unsigned long end = jiffies + seconds * HZ;

	preempt_disable();
	while (time_before(jiffies, end))
		cpu_relax();
	preempt_enable();
}

static noinline void splatter_deaf(void)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

static noinline void splatter_hung(void)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule_timeout(seconds * HZ);
	barrier();	/* a tail call would leave no frame of this function */
}

static noinline void splatter_use_after_free(void)
{
	char *p = kmalloc(40, GFP_KERNEL);

	kfree(p);
	pr_info("splatter: %d\n", *(char volatile *)p);
}

static noinline void splatter_deadlock(void)
{
	spin_lock(&first);
	spin_lock(&second);
	spin_unlock(&second);
	spin_unlock(&first);
	spin_lock(&second);
	spin_lock(&first);
	spin_unlock(&first);
	spin_unlock(&second);
}

static noinline void splatter_leak(void)
{
	void *volatile lost = kmalloc(300, GFP_KERNEL);

	lost = NULL;
	(void)lost;
}

static const struct {
	const char *name;
	void (*commit)(void);
} faults[] = {
	{ "warn", splatter_warn },
	{ "bug", splatter_bug },
	{ "null", splatter_null },
	{ "refcount", splatter_refcount },
	{ "atomic", splatter_atomic },
	{ "lockup", splatter_lockup },
	{ "deaf", splatter_deaf },
	{ "hung", splatter_hung },
	{ "use-after-free", splatter_use_after_free },
	{ "deadlock", splatter_deadlock },
	{ "leak", splatter_leak },
};

static int __init splatter_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		if (strcmp(fault, faults[i].name))
			continue;
		faults[i].commit();
		return 0;
	}
	pr_err("splatter: no fault '%s'\n", fault);
	return -EINVAL;
}
module_init(splatter_init);

static void __exit splatter_exit(void)
{
}
module_exit(splatter_exit);

MODULE_DESCRIPTION("Faults to order");
MODULE_LICENSE("GPL");
