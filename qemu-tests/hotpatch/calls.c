// SPDX-License-Identifier: GPL-2.0
/* calls WHAT: make a system call and print what it said. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	unsigned int cpu = 0;

	if (!strcmp(what, "getcpu")) {
		if (syscall(SYS_getcpu, &cpu, NULL, NULL))
			return 1;
		printf("%u\n", cpu);
		/* A fault in the new code must find its way out, too. */
		if (!syscall(SYS_getcpu, (void *)8, NULL, NULL) || errno != EFAULT)
			return 1;
	} else if (!strcmp(what, "prctl")) {
		printf("%d\n", prctl(4711, 0, 0, 0, 0));
	} else if (!strcmp(what, "itimer")) {
		struct itimerval v = { .it_value.tv_sec = 1000 };

		if (setitimer(ITIMER_REAL, &v, NULL) || getitimer(ITIMER_REAL, &v))
			return 1;
		printf("%ld\n", (long)v.it_interval.tv_sec);
	} else if (!strcmp(what, "timerfd")) {
		struct itimerspec v = { .it_value.tv_nsec = 1 };
		uint64_t ticks;
		int fd = timerfd_create(CLOCK_MONOTONIC, 0);

		if (argc > 2) {
			v.it_value.tv_sec = atoi(argv[2]);
			v.it_value.tv_nsec = 0;
		}
		if (timerfd_settime(fd, 0, &v, NULL) || read(fd, &ticks, sizeof(ticks)) != sizeof(ticks))
			return 1;
		printf("%lu\n", (unsigned long)ticks);
	} else {
		return 2;
	}
	return 0;
}
