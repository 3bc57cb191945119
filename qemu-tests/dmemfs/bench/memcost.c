/*
 * What memory of a file costs, for dmemfs, hugetlbfs and tmpfs side by side:
 *
 *	fault		touch what is allocated by the touch
 *	populate	have it allocated, by one, two and four threads
 *	access		read and write words of it at random
 *
 * Each is done with what was freed and zeroed before ("clean"), and for dmemfs
 * also with what was not ("dirty"). Usage: memcost MIB NAME=DIR...
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "../../smoke/bench/probe.h"

#define HUGE (2UL << 20)

static size_t size;

static long long sysfs(const char *name)
{
	char path[96];
	long long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/dmem/node0/%s", name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%lld", &v) != 1)
		die(path);
	fclose(f);
	return v;
}

static void run_on(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	if (sched_setaffinity(pid, sizeof(set), &set))
		die("sched_setaffinity");
}

/*
 * What zeroes in the background (dmem_zero/N) would be one more beside the
 * threads that are counted. It is put behind the first of them, where its nice
 * value leaves it next to nothing.
 */
static void bind_background(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	char path[300], name[32];
	FILE *f;

	if (!proc)
		die("/proc");
	while ((e = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) && !strncmp(name, "dmem_zero/", 10))
			run_on(atoi(e->d_name), 0);
		fclose(f);
	}
	closedir(proc);
}

/* Until the thread that zeroes in the background has nothing left. */
static void wait_until_clean(void)
{
	while (sysfs("clean_bytes") != sysfs("free_bytes"))
		usleep(20000);
}

static int new_file(const char *dir)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/f", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || unlink(path) || ftruncate(fd, size))
		die(path);
	return fd;
}

static char *map(int fd, size_t len)
{
	/* Where huge entries fit, in every file system. */
	char *p = mmap(NULL, len + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	p = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	p = mmap(p, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap of a file");
	return p;
}

static void touch(char *p, size_t len, size_t step)
{
	for (size_t off = 0; off < len; off += step)
		*(volatile char *)(p + off) = 1;
}

static void fault(const char *name, const char *dir, const char *state, size_t len, bool waits)
{
	int fd;
	char *p;
	int64_t t;

	if (waits)
		wait_until_clean();
	fd = new_file(dir);
	p = map(fd, len);
	t = now();
	/* One a page of 4K: where a fault brings 2M, the others cost nothing. */
	touch(p, len, 4096);
	t = now() - t;
	printf("BenchmarkFault/fs=%s/state=%s/mib=%zu %zu %.1f ns/4K %.1f MiB/s\n", name, state,
	       len >> 20, len / 4096, (double)t / (len / 4096.0),
	       (len >> 20) / (t / 1e9));
	/* The same again, all there: what the loop itself takes. */
	t = now();
	touch(p, len, 4096);
	t = now() - t;
	printf("BenchmarkTouch/fs=%s/state=%s/mib=%zu %zu %.1f ns/4K\n", name, state, len >> 20,
	       len / 4096, (double)t / (len / 4096.0));
	munmap(p, len);
	close(fd);
}

/* The first byte of one huge page of a file of this size. */
static void first_touch(const char *name, const char *dir, size_t len, bool waits)
{
	enum { TIMES = 21 };
	int64_t t[TIMES];
	int i, fd;
	char *p;

	for (i = 0; i < TIMES; i++) {
		if (waits)
			wait_until_clean();
		fd = new_file(dir);
		p = map(fd, len);
		t[i] = now();
		*(volatile char *)p = 1;
		t[i] = now() - t[i];
		munmap(p, len);
		close(fd);
	}
	sort_samples(t, TIMES);
	printf("BenchmarkFirstTouch/fs=%s/mib=%zu %d %lld p50-ns\n", name, len >> 20, TIMES,
	       (long long)percentile(t, TIMES, 50));
}

struct part {
	pthread_t thread;
	int fd, cpu;
	size_t from, len;
};

static void *populate_part(void *arg)
{
	struct part *p = arg;

	run_on(0, p->cpu);
	/* The file keeps its size: dmemfs has threads do this side by side. */
	if (fallocate(p->fd, FALLOC_FL_KEEP_SIZE, p->from, p->len))
		die("fallocate");
	return NULL;
}

/* MiB/s, for a whole file. */
static double populate(const char *dir, int threads)
{
	struct part part[8];
	int fd = new_file(dir), i;
	int64_t t = now();

	for (i = 0; i < threads; i++) {
		part[i] = (struct part){ .fd = fd, .cpu = i, .from = size / threads * i,
					 .len = size / threads };
		if (pthread_create(&part[i].thread, NULL, populate_part, &part[i]))
			die("pthread_create");
	}
	for (i = 0; i < threads; i++)
		pthread_join(part[i].thread, NULL);
	t = now() - t;
	close(fd);
	return (size >> 20) / (t / 1e9);
}

static void populate_clean(const char *name, const char *dir, bool waits)
{
	for (int threads = 1; threads <= 4; threads *= 2) {
		if (waits)
			wait_until_clean();
		printf("BenchmarkPopulate/fs=%s/state=clean/threads=%d %zu %.1f MiB/s\n", name,
		       threads, size >> 20, populate(dir, threads));
	}
}

/*
 * The file is all there is, and was given back just now: it is zeroed on the
 * way. Being SCHED_FIFO keeps the background from doing it before.
 */
static void populate_dirty(const char *name, const char *dir)
{
	struct sched_param ahead = { .sched_priority = 1 }, back = {};

	if (sysfs("total_bytes") != (long long)size)
		die("dmem= and the size of the file must be the same");
	run_on(0, 0);
	if (sched_setscheduler(0, SCHED_FIFO, &ahead))
		die("SCHED_FIFO");
	populate(dir, 1);
	for (int threads = 1; threads <= 4; threads *= 2)
		printf("BenchmarkPopulate/fs=%s/state=dirty/threads=%d %zu %.1f MiB/s\n", name,
		       threads, size >> 20, populate(dir, threads));
	if (sched_setscheduler(0, SCHED_OTHER, &back))
		die("SCHED_OTHER");
}

static void access_words(const char *name, const char *dir)
{
	const int n = 4000000;
	uint64_t x = 88172645463325252ULL, sum = 0, mask = size / 8 - 1;
	volatile uint64_t *w;
	int fd = new_file(dir), i;
	char *p = map(fd, size);
	int64_t t;

	w = (volatile uint64_t *)p;
	touch(p, size, 4096);
	for (int write = 0; write < 2; write++) {
		t = now();
		for (i = 0; i < n; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			if (write)
				w[x & mask] = x;
			else
				sum += w[x & mask];
		}
		t = now() - t;
		printf("BenchmarkAccess/fs=%s/op=%s %d %.3f ns/op\n", name, write ? "write" : "read",
		       n, (double)t / n);
	}
	if (sum == 1)
		fprintf(stderr, "unlikely\n");
	munmap(p, size);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	size = (size_t)number(argv[1]) << 20;
	if (size & (size - 1))
		die("a power of two is wanted");
	fprintf(stderr, "%ld CPUs\n", sysconf(_SC_NPROCESSORS_ONLN));
	for (int i = 2; i < argc; i++) {
		char *dir = strchr(argv[i], '='), *name = argv[i];
		bool dmem;

		if (!dir)
			return 2;
		*dir++ = 0;
		dmem = !strcmp(name, "dmemfs");
		if (dmem)
			bind_background();
		fault(name, dir, "clean", size, dmem);
		fault(name, dir, "clean", size / 8, dmem);
		first_touch(name, dir, HUGE, dmem);
		first_touch(name, dir, size, dmem);
		populate_clean(name, dir, dmem);
		if (dmem)
			populate_dirty(name, dir);
		access_words(name, dir);
	}
	return 0;
}
