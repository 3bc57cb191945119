// SPDX-License-Identifier: GPL-2.0
/* A kernel thread that computes and never comes to a safe point. */
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/nmi.h>

static struct task_struct *spinner;

static int spin(void *unused)
{
	while (!kthread_should_stop()) {
		touch_softlockup_watchdog();
		cpu_relax();
	}
	return 0;
}

static int __init spinner_init(void)
{
	spinner = kthread_run(spin, NULL, "spinner");
	return PTR_ERR_OR_ZERO(spinner);
}
module_init(spinner_init);

static void __exit spinner_exit(void)
{
	kthread_stop(spinner);
}
module_exit(spinner_exit);

MODULE_DESCRIPTION("A kernel thread that never comes to a safe point");
MODULE_LICENSE("GPL");
