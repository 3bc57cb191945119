/*
 * wake HOGS WAKEUPS SECONDS POLICY...
 *
 * How long a task waits for its CPU beside HOGS tasks that never sleep, and what
 * share it gets, under each scheduling policy in turn (hogs.h).
 *
 * Wake: the task sleeps 2 ms, WAKEUPS times, and works 0.3 ms after each; the
 * latency is the time from the timer it asked for to its first instruction.
 * Share: beside one hog it spins for so many SECONDS; the share is its CPU time
 * by wall time, the gap the longest time between two of its readings of the
 * clock. All tasks are on CPU 0.
 */
#define _GNU_SOURCE
#include "hogs.h"
#include "probe.h"

#define SLEEP_NS 2000000
#define WORK_NS 300000

static void work(int64_t ns)
{
	int64_t until = now() + ns;

	while (now() < until)
		;
}

static void wake(const char *policy, long n)
{
	int64_t *lat = calloc(n, sizeof(*lat));
	char name[64];

	for (long i = 0; i < n; i++) {
		int64_t at = now() + SLEEP_NS;
		struct timespec ts = { at / NSEC_PER_SEC, at % NSEC_PER_SEC };

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
			;
		lat[i] = now() - at;
		work(WORK_NS);
	}
	sort_samples(lat, n);
	snprintf(name, sizeof(name), "Wake/policy=%s", policy);
	printf("Benchmark%s %ld %lld p50-ns %lld p99-ns %lld max-ns\n", name, n, (long long)percentile(lat, n, 50),
	       (long long)percentile(lat, n, 99), (long long)lat[n - 1]);
	print_histogram(name, "wake-ns", lat, n);
	free(lat);
}

static int64_t cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void share(const char *policy, long seconds)
{
	int64_t begin = now(), cpu = cpu_time(), last = begin, gap = 0, t;

	do {
		t = now();
		if (t - last > gap)
			gap = t - last;
		last = t;
	} while (t - begin < seconds * NSEC_PER_SEC);
	printf("BenchmarkShare/policy=%s 1 %.2f share-%% %lld gap-ns\n", policy,
	       100.0 * (cpu_time() - cpu) / (t - begin), (long long)gap);
}

int main(int argc, char **argv)
{
	long n, wakeups, seconds;

	if (argc < 5) {
		fprintf(stderr, "usage: wake HOGS WAKEUPS SECONDS POLICY...\n");
		return 2;
	}
	n = number(argv[1]);
	wakeups = number(argv[2]);
	seconds = number(argv[3]);
	to_cpu0();
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	for (int i = 4; i < argc; i++) {
		pid_t pid;
		int status;

		/* Forked first, so that no policy is inherited. */
		fflush(stdout);
		start_hogs(n);
		pid = fork();
		if (pid == 0) {
			const char *policy = set_policy(argv[i]);

			if (!policy)
				die(argv[i]);
			wake(policy, wakeups);
			exit(0);
		}
		waitpid(pid, &status, 0);
		stop_hogs(n);
		if (status)
			return 1;
		start_hogs(1);
		pid = fork();
		if (pid == 0) {
			const char *policy = set_policy(argv[i]);

			if (!policy)
				die(argv[i]);
			share(policy, seconds);
			exit(0);
		}
		waitpid(pid, &status, 0);
		stop_hogs(1);
		if (status)
			return 1;
	}
	return 0;
}
