/*
 * readcost COUNT FILE...: what reading a file whole costs: open, read to the
 * end, close. The median of COUNT readings, and their distribution.
 */
#include <fcntl.h>

#include "probe.h"

static void read_whole(const char *path)
{
	static char buf[1 << 16];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		die(path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		;
	if (n < 0)
		die(path);
	close(fd);
}

/* The last part of a path, in letters that a name may have. */
static void name_of(const char *path, char *out, size_t size)
{
	const char *base = strrchr(path, '/');

	snprintf(out, size, "%s", base ? base + 1 : path);
	for (char *c = out; *c; c++)
		if (*c == '-' || *c == '=')
			*c = '_';
}

int main(int argc, char **argv)
{
	int64_t *took;
	long n;

	if (argc < 3) {
		fprintf(stderr, "usage: readcost COUNT FILE...\n");
		return 2;
	}
	n = number(argv[1]);
	took = calloc(n, sizeof(*took));
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	for (int i = 2; i < argc; i++) {
		char file[64], name[96];

		name_of(argv[i], file, sizeof(file));
		snprintf(name, sizeof(name), "Read/file=%s", file);
		read_whole(argv[i]);
		for (long k = 0; k < n; k++) {
			int64_t begin = now();

			read_whole(argv[i]);
			took[k] = now() - begin;
		}
		sort_samples(took, n);
		printf("Benchmark%s %ld %lld ns/op\n", name, n, (long long)percentile(took, n, 50));
		print_histogram(name, "read-ns", took, n);
	}
	return 0;
}
