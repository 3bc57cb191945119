// SPDX-License-Identifier: GPL-2.0
/*
 * applytime ROUNDS NAME: apply, revert and unload NAME.ko, and tell how long
 * a transition took and how long after its end the command that waited for it
 * was done. The end is the time of the kernel's own message; what lies between
 * the kernel's log clock and ours is taken from a message of ours.
 */
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "../../smoke/bench/probe.h"

extern char **environ;

static int kmsg;

/* The time of the next message that contains a text, in ns of the log's clock. */
static int64_t message(const char *text)
{
	char record[2048];
	long long usec;
	ssize_t n;

	for (;;) {
		n = read(kmsg, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue;	/* overwritten before we came; go on with what is there */
		if (n < 0) {
			fprintf(stderr, "the kernel's log has no \"%s\"\n", text);
			die("/dev/kmsg");
		}
		record[n] = 0;
		if (strstr(record, text) && sscanf(record, "%*d,%*d,%lld", &usec) == 1)
			return usec * 1000;
	}
}

/* The log's clock minus ours, in ns. */
static int64_t skew(void)
{
	int64_t before = now(), after;

	if (write(kmsg, "applytime: here", 15) != 15)
		die("write /dev/kmsg");
	after = now();
	return message("applytime: here") - (before + after) / 2;
}

/* Runs a command to its end, and returns the time of that. */
static int64_t run(char *const argv[])
{
	int status, err;
	pid_t pid;

	err = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
	if (err) {
		errno = err;
		die(argv[0]);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("wait");
	if (status) {
		fprintf(stderr, "%s %s: status %#x\n", argv[0], argv[1], status);
		exit(1);
	}
	return now();
}

int main(int argc, char **argv)
{
	int rounds = argc == 3 ? atoi(argv[1]) : 0, i, j;
	char ko[256];

	if (rounds < 1) {
		fprintf(stderr, "usage: applytime ROUNDS NAME\n");
		return 1;
	}
	kmsg = open("/dev/kmsg", O_RDWR | O_NONBLOCK);
	if (kmsg < 0)
		die("/dev/kmsg");
	lseek(kmsg, 0, SEEK_END);
	snprintf(ko, sizeof(ko), "%s.ko", argv[2]);
	if (dup2(2, 1) < 0)	/* what the command says is no result */
		die("dup2");
	for (i = 0; i < rounds; i++) {
		struct {
			const char *what, *start, *end;
			char *const argv[4];
		} steps[] = {
			{ "apply", "starting patching transition", "patching complete", { "./hotpatch", "apply", ko } },
			{ "revert", "starting unpatching transition", "unpatching complete", { "./hotpatch", "revert", argv[2] } },
		};

		for (j = 0; j < 2; j++) {
			int64_t before = skew(), began = now(), done = run(steps[j].argv);
			int64_t start = message(steps[j].start) - before, end = message(steps[j].end) - before;

			dprintf(3, "BenchmarkHotpatch/step=%s 1 %.3f transition-ms %.3f seen-ms %.3f whole-ms\n", steps[j].what,
				(end - start) / 1e6, (done - end) / 1e6, (done - began) / 1e6);
		}
		run((char *const[]){ "./hotpatch", "unload", argv[2], NULL });
	}
	return 0;
}
