/*
 * What a system call and a context switch cost, in instructions: on a machine
 * with one CPU whose clock counts them, a nanosecond is one.
 *
 * Each is measured in short batches; the median is that of batches that no
 * timer interrupted.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../smoke/bench/probe.h"

enum { BATCHES = 101, BATCH = 200 };

/* Returns the median time of a batch of calls to f. */
static int64_t median(void (*f)(void))
{
	static int64_t took[BATCHES];

	for (int i = 0; i < BATCHES; i++) {
		int64_t begin = now();

		for (int j = 0; j < BATCH; j++)
			f();
		took[i] = now() - begin;
	}
	sort_samples(took, BATCHES);
	return percentile(took, BATCHES, 50);
}

static void nothing(void)
{
	__asm__ volatile("");
}

static void system_call(void)
{
	syscall(SYS_getppid);
}

/* Gives way to the child, which gives way to us. */
static void yield(void)
{
	sched_yield();
}

static void result(const char *what, int64_t took, int ops)
{
	printf("BenchmarkEntry/op=%s %d %.2f ns/op\n", what, BATCHES, (double)took / ops);
}

int main(void)
{
	/* Of one priority, two real-time tasks take turns at each yield. */
	struct sched_param first = { .sched_priority = 1 };
	int64_t loop = median(nothing);
	pid_t child;

	result("syscall", median(system_call) - loop, BATCH);

	if (sched_setscheduler(0, SCHED_FIFO, &first))
		die("sched_setscheduler");
	fflush(stdout);
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			sched_yield();
	}
	result("yield+switch", median(yield) - loop, 2 * BATCH);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}
