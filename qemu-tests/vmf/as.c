/*
 * as POLICY spin|COMMAND [ARG...]
 *
 * Runs a command under a policy by its number, or computes forever. A command's
 * children do not have the policy, but for SCHED_ELASTIC (21).
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sched_param param = { 0 };

	if (argc < 3) {
		fprintf(stderr, "usage: as POLICY spin|COMMAND [ARG...]\n");
		return 2;
	}
	if (sched_setscheduler(0, atoi(argv[1]), &param)) {
		perror("sched_setscheduler");
		return 1;
	}
	if (!strcmp(argv[2], "spin"))
		for (;;)
			__asm__ volatile("");
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
