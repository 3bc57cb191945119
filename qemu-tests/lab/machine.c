// SPDX-License-Identifier: GPL-2.0
/* Says which machine it was compiled for, as uname -m does. */
#include <stdio.h>

int main(void)
{
#if defined(__aarch64__)
	puts("aarch64");
#elif defined(__x86_64__)
	puts("x86_64");
#else
#error "no guest has this architecture"
#endif
	return 0;
}
