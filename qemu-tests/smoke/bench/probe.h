/*
 * What probes have in common: the clock, samples, and how results are printed:
 * Go's benchmark format, and beside it histograms
 *
 *	BenchmarkWake/policy=fifo 800 4416 p50-ns 5024 p99-ns
 *	HistogramWake/policy=fifo wake-ns 4400:512 4416:288
 */
#ifndef PROBE_H
#define PROBE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC 1000000000LL

static inline int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* Ends a probe that cannot measure here; the benchmark is skipped. */
static inline void skip(const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(4);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static inline void sort_samples(int64_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
}

/* Of sorted samples: the least value that p % of them do not exceed. */
static inline int64_t percentile(const int64_t *v, size_t n, double p)
{
	size_t i = n * p / 100;

	return v[i < n ? i : n - 1];
}

/* Rounds down to 1/32 of the value's power of two: 3 % at most. */
static inline int64_t bin_of(int64_t v)
{
	int shift = 0;

	while ((v >> shift) >= 64)
		shift++;
	return v >> shift << shift;
}

/* Of sorted samples. */
static inline void print_histogram(const char *name, const char *unit, const int64_t *v, size_t n)
{
	printf("Histogram%s %s", name, unit);
	for (size_t i = 0; i < n;) {
		int64_t bin = bin_of(v[i]);
		size_t j = i;

		while (j < n && bin_of(v[j]) == bin)
			j++;
		printf(" %lld:%zu", (long long)bin, j - i);
		i = j;
	}
	printf("\n");
}

static inline long number(const char *text)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (*end || end == text || v <= 0) {
		fprintf(stderr, "%s is no positive number\n", text);
		exit(2);
	}
	return v;
}

#endif
