/*
 * Tasks that never sleep, and the scheduling policies that probes are run under.
 * To be included after _GNU_SOURCE is defined.
 *
 *	eevdf   the default
 *	niced   the default with nice -20
 *	fifo    SCHED_FIFO, priority 50
 *	NAME:N  sched_setscheduler() policy number N, printed as NAME
 */
#ifndef HOGS_H
#define HOGS_H

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "probe.h"

#define MAX_HOGS 256

static pid_t hogs[MAX_HOGS];

/* fork(), which does not print twice what is not written yet. */
static inline pid_t child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	return pid;
}

static inline void start_hogs(long n)
{
	for (long i = 0; i < n && i < MAX_HOGS; i++) {
		pid_t pid = child();

		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (volatile unsigned long x = 0;; x++)
				;
		}
		hogs[i] = pid;
	}
}

static inline void stop_hogs(long n)
{
	for (long i = 0; i < n && i < MAX_HOGS; i++) {
		kill(hogs[i], SIGKILL);
		waitpid(hogs[i], NULL, 0);
	}
}

/* Sets the caller's policy; returns the name to print, or NULL. */
static inline const char *set_policy(char *spec)
{
	struct sched_param param = { 0 };
	char *colon = strchr(spec, ':');

	if (!strcmp(spec, "eevdf"))
		return spec;
	if (!strcmp(spec, "niced"))
		return setpriority(PRIO_PROCESS, 0, -20) ? NULL : spec;
	if (!strcmp(spec, "fifo")) {
		param.sched_priority = 50;
		return sched_setscheduler(0, SCHED_FIFO, &param) ? NULL : spec;
	}
	if (!colon) {
		fprintf(stderr, "no policy is called %s\n", spec);
		exit(2);
	}
	*colon = 0;
	return sched_setscheduler(0, atoi(colon + 1), &param) ? NULL : spec;
}

/* Everything that competes does so for one CPU. */
static inline void to_cpu0(void)
{
	cpu_set_t cpu0;

	CPU_ZERO(&cpu0);
	CPU_SET(0, &cpu0);
	if (sched_setaffinity(0, sizeof(cpu0), &cpu0))
		die("sched_setaffinity");
}

#endif
