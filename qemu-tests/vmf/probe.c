// SPDX-License-Identifier: GPL-2.0
/*
 * What a task under some policy gets of a CPU that others want as well.
 *
 *   probe wake POLICY HOGS [LIMIT...]   wake-ups every 2 ms with 0.3 ms of work
 *                                       each, beside HOGS tasks that compute
 *   probe versus POLICY HOGS [LIMIT...] the same under SCHED_FIFO, then under
 *                                       POLICY; ratio: of the latter's p99
 *   probe share POLICY [LIMIT...]       a task that computes beside one of nice 0
 *   probe against OTHER [LIMIT...]      what a task under OTHER that computes gets
 *                                       beside one of nice 0 that does as well
 *   probe pair POLICY [LIMIT...]        two tasks of that policy
 *   probe beside POLICY OTHER WORK [LIMIT...]  wake-ups with WORK us of work each,
 *                                       alone, then beside a task under OTHER that
 *                                       computes; p99-ratio: of the two p99;
 *                                       used: of the CPU by both
 *   probe kworker POLICY SECONDS [LIMIT...]  how long the CPU's kworker waits
 *                                       behind a task that computes
 *
 * All run on CPU 0, the others under SCHED_OTHER. Each line of the output is
 * "name value"; times are in us, shares in percent. A LIMIT, "name<=value" or
 * "name>=value", that does not hold makes the exit code 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SCHED_VMF	20
#define SCHED_ELASTIC	21
#define SCHED_VMSVC	22
#ifndef WAKES
#define WAKES		800
#endif
#ifndef SPIN_NS
#define SPIN_NS		3000000000ULL
#endif
#define MAX_HOGS	16

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static pid_t hogs[MAX_HOGS];
static int nr_hogs;
static char **limits;
static int nr_limits, broken;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static uint64_t cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void set_policy(const char *name)
{
	struct attr a = { .size = sizeof(a) };

	if (!strcmp(name, "fifo")) {
		a.policy = SCHED_FIFO;
		a.priority = 1;
	} else if (!strcmp(name, "vmf")) {
		a.policy = SCHED_VMF;
	} else if (!strcmp(name, "vmsvc")) {
		a.policy = SCHED_VMSVC;
	} else if (!strcmp(name, "elastic")) {
		a.policy = SCHED_ELASTIC;
	} else if (!strcmp(name, "nice-20")) {
		a.nice = -20;
	} else if (strcmp(name, "nice0")) {
		fprintf(stderr, "no policy %s\n", name);
		exit(2);
	}
	if (syscall(SYS_sched_setattr, 0, &a, 0))
		die(name);
	/* Real-time tasks have no timer slack; 50 us would hide the rest */
	if (prctl(PR_SET_TIMERSLACK, 1))
		die("prctl");
}

static void hog(const char *policy)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		set_policy(policy);
		for (;;)
			;
	}
	hogs[nr_hogs++] = pid;
}

static void report(const char *name, double value)
{
	size_t len = strlen(name);
	int i;

	printf("%s %.2f\n", name, value);
	for (i = 0; i < nr_limits; i++) {
		const char *l = limits[i];
		double bound;

		if (strncmp(l, name, len) || (l[len] != '<' && l[len] != '>') || l[len + 1] != '=')
			continue;
		bound = atof(l + len + 2);
		if (l[len] == '<' ? value > bound : value < bound) {
			printf("does not hold: %s\n", l);
			broken = 1;
		}
		limits[i] = "";
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Times by which wake-ups came late, in ns, sorted; @work: of each, in ns */
static void wake_up_to(const char *policy, uint64_t *late, uint64_t work)
{
	uint64_t next, end;
	struct timespec t;
	int i;

	set_policy(policy);

	next = now();
	for (i = 0; i < WAKES; i++) {
		next += 2000000;
		t.tv_sec = next / 1000000000;
		t.tv_nsec = next % 1000000000;
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
			;
		late[i] = now() - next;
		end = now() + work;
		while (now() < end)
			;
		next = now();
	}

	qsort(late, WAKES, sizeof(late[0]), by_size);
}

static void wake_up(const char *policy, uint64_t *late)
{
	wake_up_to(policy, late, 300000);
}

static void wake(const char *policy, int n)
{
	static uint64_t late[WAKES];

	while (n-- > 0)
		hog("nice0");
	wake_up(policy, late);
	report("p50", late[WAKES / 2] / 1e3);
	report("p99", late[WAKES * 99 / 100] / 1e3);
	report("max", late[WAKES - 1] / 1e3);
}

static void versus(const char *policy, int n)
{
	static uint64_t fifo[WAKES], late[WAKES];

	while (n-- > 0)
		hog("nice0");
	wake_up("fifo", fifo);
	wake_up(policy, late);
	report("fifo-p99", fifo[WAKES * 99 / 100] / 1e3);
	report("p99", late[WAKES * 99 / 100] / 1e3);
	report("max", late[WAKES - 1] / 1e3);
	report("ratio", (double)late[WAKES * 99 / 100] / fifo[WAKES * 99 / 100]);
}

static uint64_t cpu_time_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		die("clock_getcpuclockid");
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void beside(const char *policy, const char *other, uint64_t work)
{
	static uint64_t alone[WAKES], late[WAKES];
	uint64_t start, elapsed, own, others;

	wake_up_to(policy, alone, work);
	hog(other);
	usleep(100000);
	start = now();
	own = cpu_time();
	others = cpu_time_of(hogs[0]);
	wake_up_to(policy, late, work);
	elapsed = now() - start;
	own = cpu_time() - own;
	others = cpu_time_of(hogs[0]) - others;

	report("alone-p99", alone[WAKES * 99 / 100] / 1e3);
	report("p50", late[WAKES / 2] / 1e3);
	report("p99", late[WAKES * 99 / 100] / 1e3);
	report("max", late[WAKES - 1] / 1e3);
	report("p99-ratio", (double)late[WAKES * 99 / 100] / alone[WAKES * 99 / 100]);
	report("other-share", 100.0 * others / elapsed);
	report("used", 100.0 * (own + others) / elapsed);
}

struct got {
	uint64_t cpu, elapsed, gap;
	uint64_t gaps;	/* that were longer than 20 us */
};

static void spin(struct got *g)
{
	uint64_t start = now(), cpu = cpu_time(), last = start, t;

	while ((t = now()) - start < SPIN_NS) {
		if (t - last > 20000)
			g->gaps++;
		if (t - last > g->gap)
			g->gap = t - last;
		last = t;
	}
	g->elapsed = t - start;
	g->cpu = cpu_time() - cpu;
}

static void share(const char *policy)
{
	struct got *g = mmap(NULL, 2 * sizeof(*g), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t other = fork();

	if (!other) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		spin(&g[1]);
		_exit(0);
	}
	set_policy(policy);
	spin(&g[0]);
	waitpid(other, NULL, 0);

	report("share", 100.0 * g[0].cpu / g[0].elapsed);
	report("gap", g[0].gap / 1e3);
	report("gaps", g[0].gaps);
	report("host-wait", g[1].gap / 1e3);
}

static void against(const char *other)
{
	struct got g = { 0 };
	uint64_t others;

	hog(other);
	usleep(100000);
	others = cpu_time_of(hogs[0]);
	spin(&g);
	others = cpu_time_of(hogs[0]) - others;

	report("other-share", 100.0 * others / g.elapsed);
	report("used", 100.0 * (g.cpu + others) / g.elapsed);
	report("gap", g.gap / 1e3);
}

static void pair(const char *policy)
{
	struct got *g = mmap(NULL, 2 * sizeof(*g), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t other = fork();
	double a, b;

	set_policy(policy);
	spin(&g[!other]);
	if (!other)
		_exit(0);
	waitpid(other, NULL, 0);

	a = g[0].cpu;
	b = g[1].cpu;
	report("share", 100.0 * a / g[0].elapsed);
	report("jain", 100.0 * (a + b) * (a + b) / (2 * (a * a + b * b)));
	report("gap", (g[0].gap > g[1].gap ? g[0].gap : g[1].gap) / 1e3);
}

/*
 * Writing to stat_refresh waits for a work item on every CPU's own kworker. The
 * one that asks is real-time, so that it does not wait itself.
 */
static void kworker(const char *policy, int seconds)
{
	uint64_t end, asked, t, longest = 0;
	int rounds = 0;
	FILE *f;

	set_policy("fifo");
	hog(policy);

	end = now() + seconds * 1000000000ULL;
	while (now() < end) {
		usleep(7300);
		asked = now();
		f = fopen("/proc/sys/vm/stat_refresh", "w");
		if (!f || fputs("1", f) < 0 || fclose(f))
			die("stat_refresh");
		t = now() - asked;
		if (t > longest)
			longest = t;
		rounds++;
	}
	report("rounds", rounds);
	report("kworker-wait", longest / 1e3);
}

int main(int argc, char **argv)
{
	cpu_set_t cpus;
	int i, used = 3;

	if (argc < 3)
		goto usage;
	setvbuf(stdout, NULL, _IOLBF, 0);
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("sched_setaffinity");
	if (!strcmp(argv[1], "wake") || !strcmp(argv[1], "versus") ||
	    !strcmp(argv[1], "kworker"))
		used++;
	if (!strcmp(argv[1], "beside"))
		used += 2;
	limits = argv + used;
	nr_limits = argc - used;

	if (!strcmp(argv[1], "wake") && argc > 3)
		wake(argv[2], atoi(argv[3]));
	else if (!strcmp(argv[1], "versus") && argc > 3)
		versus(argv[2], atoi(argv[3]));
	else if (!strcmp(argv[1], "kworker") && argc > 3)
		kworker(argv[2], atoi(argv[3]));
	else if (!strcmp(argv[1], "beside") && argc > 4)
		beside(argv[2], argv[3], atoi(argv[4]) * 1000ULL);
	else if (!strcmp(argv[1], "share"))
		share(argv[2]);
	else if (!strcmp(argv[1], "against"))
		against(argv[2]);
	else if (!strcmp(argv[1], "pair"))
		pair(argv[2]);
	else
		goto usage;

	for (i = 0; i < nr_hogs; i++)
		kill(hogs[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	for (i = 0; i < nr_limits; i++)
		if (limits[i][0]) {
			printf("nothing measured that is called so: %s\n", limits[i]);
			broken = 1;
		}
	return broken;

usage:
	fprintf(stderr, "probe wake POLICY HOGS | versus POLICY HOGS | share POLICY | against OTHER | pair POLICY | beside POLICY OTHER WORK | kworker POLICY SECONDS [LIMIT...]\n");
	return 2;
}
