/*
 * fill WAKEUPS WAY...
 *
 * Offline work that fills what online work leaves of a CPU, and what online work
 * notices of it. Online: an ordinary task that sleeps 2 ms and works 0.86 ms,
 * which takes 30 % of the CPU, WAKEUPS times; first alone. Offline: one that
 * computes,
 *
 *	eevdf       as an ordinary task
 *	nice19      setpriority()
 *	sched-idle  SCHED_IDLE
 *	idle        in a cgroup with cpu.idle
 *	elastic     SCHED_ELASTIC
 *
 * Used is the CPU time of both by wall time. The latency is the time from the
 * timer that the online task asked for to its first instruction.
 */
#define _GNU_SOURCE
#include <sys/stat.h>

#include "../../smoke/bench/hogs.h"
#include "../../smoke/bench/probe.h"

#define SCHED_ELASTIC 21

#define CGROUPS "/sys/fs/cgroup/"

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		die(path);
}

static void set_way(const char *way)
{
	struct sched_param param = { 0 };
	int policy = SCHED_OTHER;

	if (!strcmp(way, "idle"))
		write_file(CGROUPS "offline/cgroup.procs", "0");
	if (!strcmp(way, "nice19") && setpriority(PRIO_PROCESS, 0, 19))
		die("setpriority");
	if (!strcmp(way, "sched-idle"))
		policy = SCHED_IDLE;
	if (!strcmp(way, "elastic"))
		policy = SCHED_ELASTIC;
	if (sched_setscheduler(0, policy, &param))
		die(way);
}

static int64_t clock_of(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		die("clock_gettime");
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static int64_t cpu_time_of(pid_t pid)
{
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock))
		die("clock_getcpuclockid");
	return clock_of(clock);
}

/* @offline: the other one, 0 if there is none */
static void online(const char *way, long n, pid_t offline)
{
	int64_t *late = calloc(n, sizeof(*late));
	int64_t begin = now(), own = clock_of(CLOCK_PROCESS_CPUTIME_ID), others = 0, until;
	char name[64];

	if (offline)
		others = cpu_time_of(offline);
	for (long i = 0; i < n; i++) {
		int64_t at = now() + 2000000;
		struct timespec ts = { at / NSEC_PER_SEC, at % NSEC_PER_SEC };

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
			;
		late[i] = now() - at;
		until = now() + 860000;
		while (now() < until)
			;
	}
	begin = now() - begin;
	own = clock_of(CLOCK_PROCESS_CPUTIME_ID) - own;
	if (offline)
		others = cpu_time_of(offline) - others;

	sort_samples(late, n);
	snprintf(name, sizeof(name), "Online/way=%s", way);
	printf("Benchmark%s %ld %lld p50-ns %lld p99-ns %lld max-ns %.2f used-%% %.2f offline-%%\n", name, n,
	       (long long)percentile(late, n, 50), (long long)percentile(late, n, 99), (long long)late[n - 1],
	       100.0 * (own + others) / begin, 100.0 * others / begin);
	print_histogram(name, "late-ns", late, n);
	fflush(stdout);
	free(late);
}

int main(int argc, char **argv)
{
	long n;

	if (argc < 3) {
		fprintf(stderr, "usage: fill WAKEUPS WAY...\n");
		return 2;
	}
	n = number(argv[1]);
	to_cpu0();
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	prctl(PR_SET_TIMERSLACK, 1);
	write_file("/proc/sys/kernel/sched_vmf_enabled", "1");
	write_file(CGROUPS "cgroup.subtree_control", "+cpu");
	if (mkdir(CGROUPS "offline", 0755))
		die("mkdir");
	write_file(CGROUPS "offline/cpu.idle", "1");

	online("alone", n, 0);
	for (int i = 2; i < argc; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			set_way(argv[i]);
			for (;;)
				asm volatile("");
		}
		usleep(100000);
		online(argv[i], n, pid);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return 0;
}
