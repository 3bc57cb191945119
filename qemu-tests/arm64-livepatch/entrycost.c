// What a system call and a context switch cost, in instructions: on a machine
// with one CPU whose clock counts them, a nanosecond is one.
//
// Each is measured in short batches; the median is that of batches that no
// timer interrupted.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 101, BATCH = 200 };

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

// median returns the median time of a batch of calls to f.
static long median(void (*f)(void))
{
	static long ns[BATCHES];

	for (int i = 0; i < BATCHES; i++) {
		long start = now();

		for (int j = 0; j < BATCH; j++)
			f();
		ns[i] = now() - start;
	}
	qsort(ns, BATCHES, sizeof(ns[0]), ascending);
	return ns[BATCHES / 2];
}

static void nothing(void)
{
	__asm__ volatile("");
}

static void system_call(void)
{
	syscall(SYS_getppid);
}

// yield gives way to the child, which gives way to us.
static void yield(void)
{
	sched_yield();
}

static void report(const char *what, long ns, int each)
{
	long hundredths = ns * 100 / (BATCH * each);

	printf("%s: %ld.%02ld instructions\n", what, hundredths / 100, hundredths % 100);
}

int main(void)
{
	// Of one priority, two real-time tasks take turns at each yield.
	struct sched_param first = { .sched_priority = 1 };
	long loop = median(nothing);
	pid_t child;

	report("system call", median(system_call) - loop, 1);

	if (sched_setscheduler(0, SCHED_FIFO, &first)) {
		perror("sched_setscheduler");
		return 1;
	}
	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			sched_yield();
	}
	report("yield and context switch", median(yield) - loop, 2);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}
