// SPDX-License-Identifier: GPL-2.0
/* Takes a CPU for itself, for good. */
#include <sched.h>
#include <stdio.h>

int main(void)
{
	struct sched_param param = { .sched_priority = 99 };

	if (sched_setscheduler(0, SCHED_FIFO, &param)) {
		perror("sched_setscheduler");
		return 1;
	}
	for (;;)
		;
}
