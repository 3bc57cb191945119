/*
 * rights WAKEUPS MILLISECONDS WAY...
 * rights movable MILLISECONDS WAY...
 *
 * What a task that stands for a vCPU gets beside ordinary ones that never sleep,
 * for each way to put it first:
 *
 *	eevdf        nothing is done
 *	niced        nice -20
 *	weight       it is in a cgroup with cpu.weight 10000, the others in one with 100
 *	idle         the others are in a cgroup with cpu.idle
 *	fifo         SCHED_FIFO
 *	fifo-server  SCHED_FIFO, and the fair server gives the others 0.5 ms in 10 ms
 *	vmf          SCHED_VMF
 *
 * Wake: it sleeps 2 ms, WAKEUPS times, and works 0.3 ms after each, beside 4
 * hogs; the latency is the time from the timer it asked for to its first
 * instruction.
 * Beside: it computes for so many MILLISECONDS beside one hog. The share is its
 * CPU time by wall time, the gap the longest time in which it did not run.
 * Pair: two of them compute beside each other, for a quarter of that time: the
 * longest gap, and the index of Jain over what each got.
 * Kworker: it computes, and every 7 ms the CPU's kworker is asked for something:
 * the longest time until that is done.
 * Serve: one computes, another sleeps 2 ms and works 0.1 ms, WAKEUPS / 2 times:
 * its latency. With vmf the other one is SCHED_VMSVC. Under SCHED_FIFO it would
 * never run.
 *
 * What the fair server takes from SCHED_FIFO it takes once a second: with fifo
 * beside and kworker last for at least 1.1 s.
 *
 * All of them are on CPU 0. Movable is the same as beside, but for the hog, which
 * may go where it likes.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/stat.h>

#include "../../smoke/bench/hogs.h"
#include "../../smoke/bench/probe.h"

#define SCHED_VMF 20
#define SCHED_VMSVC 22

#define CGROUPS "/sys/fs/cgroup/"
#define SERVER "/sys/kernel/debug/sched/fair_server/cpu0/"

static const char *way;
static int64_t span;
static int movable;

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		die(path);
}

static int is(const char *name)
{
	return !strcmp(way, name);
}

static int64_t span_of_way(void)
{
	return is("fifo") && span < 1100000000 ? 1100000000 : span;
}

static void prepare(void)
{
	int fifo = is("fifo-server");

	write_file(CGROUPS "hogs/cpu.idle", is("idle") ? "1" : "0");
	if (!is("idle"))
		write_file(CGROUPS "hogs/cpu.weight", "100");
	write_file(CGROUPS "first/cpu.weight", is("weight") ? "10000" : "100");
	/* In this order, so that the period is never the shorter one */
	write_file(SERVER "runtime", "500000");
	write_file(SERVER "period", fifo ? "10000000" : "1000000000");
	write_file(SERVER "runtime", fifo ? "500000" : "50000000");
}

/* The caller becomes one of those that stand for vCPUs; @policy for vmf */
static void go_first(int policy)
{
	struct sched_param param = { 0 };

	if (is("weight") || is("idle"))
		write_file(CGROUPS "first/cgroup.procs", "0");
	if (is("niced") && setpriority(PRIO_PROCESS, 0, -20))
		die("setpriority");
	if (is("fifo") || is("fifo-server")) {
		policy = SCHED_FIFO;
		param.sched_priority = 50;
	} else if (!is("vmf")) {
		policy = SCHED_OTHER;
	}
	if (sched_setscheduler(0, policy, &param))
		die(way);
	/* Real-time tasks have no timer slack; 50 us would hide the rest */
	prctl(PR_SET_TIMERSLACK, 1);
}

static void hog(void)
{
	cpu_set_t all;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (is("weight") || is("idle"))
		write_file(CGROUPS "hogs/cgroup.procs", "0");
	if (movable) {
		memset(&all, 0xff, sizeof(all));
		if (sched_setaffinity(0, sizeof(all), &all))
			die("sched_setaffinity");
	}
	for (;;)
		asm volatile("");
}

static void join(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		die("a child failed");
}

static void end(pid_t *pids, int n)
{
	while (n--) {
		kill(pids[n], SIGKILL);
		waitpid(pids[n], NULL, 0);
	}
}

static void spin_for(int64_t ns)
{
	int64_t until = now() + ns;

	while (now() < until)
		;
}

static void sleep_and_work(const char *what, long n, int64_t work)
{
	int64_t *late = calloc(n, sizeof(*late));
	char name[64];

	for (long i = 0; i < n; i++) {
		int64_t at = now() + 2000000;
		struct timespec ts = { at / NSEC_PER_SEC, at % NSEC_PER_SEC };

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
			;
		late[i] = now() - at;
		spin_for(work);
	}
	sort_samples(late, n);
	snprintf(name, sizeof(name), "%s/way=%s", what, way);
	printf("Benchmark%s %ld %lld p50-ns %lld p99-ns %lld max-ns\n", name, n, (long long)percentile(late, n, 50),
	       (long long)percentile(late, n, 99), (long long)late[n - 1]);
	print_histogram(name, "late-ns", late, n);
	fflush(stdout);
}

static void wake(long n)
{
	pid_t hogs[4], probe;
	int i;

	for (i = 0; i < 4; i++)
		if (!(hogs[i] = child()))
			hog();
	probe = child();
	if (!probe) {
		go_first(SCHED_VMF);
		sleep_and_work("Wake", n, 300000);
		_exit(0);
	}
	join(probe);
	end(hogs, 4);
}

struct got {
	int64_t cpu, gap;
	int64_t all, wall; /* with what came after the end, CPU time and wall time */
};

static int64_t cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* For @ns from @begin on; one that never had the CPU has a gap of all of it */
static void compute(struct got *got, int64_t begin, int64_t ns)
{
	int64_t last = begin, end = begin + ns, cpu = cpu_time(), t;

	do {
		t = now();
		if (t - last > got->gap)
			got->gap = t - last;
		last = t;
		if (t < end)
			got->cpu = cpu_time() - cpu;
	} while (t < end);
	got->all = cpu_time() - cpu;
	got->wall = now() - begin;
}

static struct got *room(void)
{
	struct got *got = mmap(NULL, 2 * sizeof(*got), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (got == MAP_FAILED)
		die("mmap");
	return got;
}

static void beside(void)
{
	int64_t ns = span_of_way();
	struct got *got = room();
	pid_t other = child(), probe;

	if (!other)
		hog();
	probe = child();
	if (!probe) {
		go_first(SCHED_VMF);
		compute(got, now(), ns);
		_exit(0);
	}
	join(probe);
	end(&other, 1);
	printf("Benchmark%s/way=%s 1 %.2f share-%% %lld gap-ns\n", movable ? "Movable" : "Beside", way,
	       100.0 * got->all / got->wall, (long long)got->gap);
}

static void pair(void)
{
	struct got *got = room();
	int64_t begin = now() + 5000000, most;
	pid_t pids[2];
	double a, b;
	int i;

	for (i = 0; i < 2; i++) {
		pids[i] = child();
		if (!pids[i]) {
			struct timespec ts = { begin / NSEC_PER_SEC, begin % NSEC_PER_SEC };

			go_first(SCHED_VMF);
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
			compute(&got[i], begin, span / 4);
			_exit(0);
		}
	}
	join(pids[0]);
	join(pids[1]);
	a = got[0].cpu;
	b = got[1].cpu;
	most = got[0].gap > got[1].gap ? got[0].gap : got[1].gap;
	printf("BenchmarkPair/way=%s 1 %.4f jain %lld gap-ns\n", way, (a + b) * (a + b) / (2 * (a * a + b * b)),
	       (long long)most);
}

static void kworker(void)
{
	struct sched_param param = { .sched_priority = 90 };
	int64_t until, asked, longest = 0;
	pid_t probe = child(), asks;
	long rounds = 0;

	if (!probe) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		go_first(SCHED_VMF);
		for (;;)
			asm volatile("");
	}
	asks = child();
	if (!asks) {
		/* It must not wait itself */
		if (sched_setscheduler(0, SCHED_FIFO, &param))
			die("SCHED_FIFO");
		until = now() + span_of_way();
		while (now() < until) {
			usleep(7000);
			asked = now();
			/* Waits for a work item on the CPU's own kworker */
			write_file("/proc/sys/vm/stat_refresh", "1");
			if (now() - asked > longest)
				longest = now() - asked;
			rounds++;
		}
		printf("BenchmarkKworker/way=%s %ld %lld longest-ns\n", way, rounds, (long long)longest);
		fflush(stdout);
		_exit(0);
	}
	join(asks);
	end(&probe, 1);
}

static void serve(long n)
{
	pid_t vcpu, probe;

	if (is("fifo") || is("fifo-server"))
		return;
	vcpu = child();
	if (!vcpu) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		go_first(SCHED_VMF);
		for (;;)
			asm volatile("");
	}
	probe = child();
	if (!probe) {
		go_first(SCHED_VMSVC);
		sleep_and_work("Serve", n, 100000);
		_exit(0);
	}
	join(probe);
	end(&vcpu, 1);
}

int main(int argc, char **argv)
{
	long wakeups = 0;

	if (argc < 4) {
		fprintf(stderr, "usage: rights WAKEUPS|movable MILLISECONDS WAY...\n");
		return 2;
	}
	movable = !strcmp(argv[1], "movable");
	if (!movable)
		wakeups = number(argv[1]);
	span = number(argv[2]) * 1000000;
	to_cpu0();
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	write_file("/proc/sys/kernel/sched_vmf_enabled", "1");
	write_file(CGROUPS "cgroup.subtree_control", "+cpu");
	if (mkdir(CGROUPS "hogs", 0755) || mkdir(CGROUPS "first", 0755))
		die("mkdir");
	for (int i = 3; i < argc; i++) {
		way = argv[i];
		prepare();
		if (movable) {
			beside();
			continue;
		}
		wake(wakeups);
		beside();
		pair();
		kworker();
		serve(wakeups / 2);
	}
	return 0;
}
