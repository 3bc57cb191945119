/*
 * fault MIB: what it costs to get memory.
 *
 *	touch     first write to each page of a mapping, in small pages
 *	populate  MADV_POPULATE_WRITE, in small pages
 *	huge      first write to each page of a mapping that may have huge ones
 *	unmap     giving the small pages back
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "probe.h"

static size_t size, page;

static void result(const char *how, int64_t took)
{
	printf("BenchmarkFault/how=%s %zu %.1f ns/page\n", how, size / page, (double)took / (size / page));
}

static char *map(int flags)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static int64_t touch(char *p)
{
	int64_t begin = now();

	for (size_t i = 0; i < size; i += page)
		((volatile char *)p)[i] = 1;
	return now() - begin;
}

int main(int argc, char **argv)
{
	int64_t begin;
	char *p;

	if (argc != 2) {
		fprintf(stderr, "usage: fault MIB\n");
		return 2;
	}
	size = number(argv[1]) << 20;
	page = sysconf(_SC_PAGESIZE);

	p = map(0);
	madvise(p, size, MADV_NOHUGEPAGE);
	result("touch", touch(p));
	begin = now();
	munmap(p, size);
	result("unmap", now() - begin);

	p = map(0);
	madvise(p, size, MADV_NOHUGEPAGE);
	begin = now();
	if (madvise(p, size, MADV_POPULATE_WRITE))
		die("MADV_POPULATE_WRITE");
	result("populate", now() - begin);
	munmap(p, size);

	p = map(0);
	madvise(p, size, MADV_HUGEPAGE);
	result("huge", touch(p));
	munmap(p, size);
	return 0;
}
