/*
 * Load another kernel by kexec_file_load(2), see where the parts of it were put, and
 * start it.
 *
 * Usage: kexec load|crash KERNEL INITRD COMMAND-LINE
 *        kexec where <TEXT	of the segments that the kernel said it made
 *        kexec go
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "iomem.h"

#ifndef KEXEC_FILE_DEBUG
#define KEXEC_FILE_DEBUG 0x8
#endif

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static int load(unsigned long flags, char **arg)
{
	int kernel = open(arg[0], O_RDONLY), initrd = open(arg[1], O_RDONLY);

	if (kernel < 0)
		return fail(arg[0]);
	if (initrd < 0)
		return fail(arg[1]);
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(arg[2]) + 1, arg[2],
		    flags | KEXEC_FILE_DEBUG))
		return fail("kexec_file_load");
	return 0;
}

static int where(void)
{
	unsigned long long start, size;
	struct ranges dmem, ram;
	int n = 0, bad = 0;
	char line[512], *at;

	if (!iomem_read("/proc/iomem", "dmem", &dmem) ||
	    !iomem_read("/proc/iomem", "System RAM", &ram))
		return fail("/proc/iomem");
	while (fgets(line, sizeof(line), stdin)) {
		at = strstr(line, " mem=");
		if (!at || sscanf(at, " mem=%llx memsz=%llx", &start, &size) != 2)
			continue;
		n++;
		if (overlap(&dmem, start, start + size) || !inside(&ram, start, start + size)) {
			printf("%s", line);
			bad++;
		}
	}
	/* A kernel, an initrd, and what tells them of each other. */
	printf("%s, %d in the wrong place\n", n < 3 ? "hardly any segments" : "all segments", bad);
	return n < 3 || bad;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "load"))
		return load(0, argv + 2);
	if (argc == 5 && !strcmp(argv[1], "crash"))
		return load(KEXEC_FILE_ON_CRASH, argv + 2);
	if (argc == 2 && !strcmp(argv[1], "where"))
		return where();
	if (argc == 2 && !strcmp(argv[1], "go")) {
		sync();
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
		return fail("reboot");
	}
	fprintf(stderr, "usage: kexec load|crash KERNEL INITRD COMMAND-LINE | where | go\n");
	return 2;
}
