/* What /proc/iomem, or a copy of it, says of memory. */
#ifndef IOMEM_H
#define IOMEM_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct range {
	unsigned long long start, end;	/* end is the first byte behind it */
};

struct ranges {
	int n;
	struct range r[64];
};

/* Read the ranges that are called @name, at any depth; false if there are none. */
static bool iomem_read(const char *path, const char *name, struct ranges *out)
{
	FILE *f = fopen(path, "r");
	char line[256], what[128];
	struct range r;

	out->n = 0;
	while (f && fgets(line, sizeof(line), f) && out->n < 64) {
		if (sscanf(line, " %llx-%llx : %127[^\n]", &r.start, &r.end, what) != 3 ||
		    strcmp(what, name))
			continue;
		r.end++;
		out->r[out->n++] = r;
	}
	if (f)
		fclose(f);
	return out->n;
}

/* Is all of it in one of the ranges? */
static inline bool inside(const struct ranges *set, unsigned long long start, unsigned long long end)
{
	for (int i = 0; i < set->n; i++) {
		if (start >= set->r[i].start && end <= set->r[i].end)
			return true;
	}
	return false;
}

/* Is any of it in one of them? */
static inline bool overlap(const struct ranges *set, unsigned long long start, unsigned long long end)
{
	for (int i = 0; i < set->n; i++) {
		if (start < set->r[i].end && end > set->r[i].start)
			return true;
	}
	return false;
}

#endif
