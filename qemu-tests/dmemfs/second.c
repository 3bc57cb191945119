/*
 * The init of a kernel that was started by kexec, which looks at what the one before
 * it left: by its "role" in the command line, at a crash dump, or at direct memory.
 * /iomem is the former kernel's /proc/iomem.
 *
 * Before that: second mark FILE ordinary|direct MIB
 * fills FILE with pages that say what kind of memory they are in.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "iomem.h"

#define PAGE	4096
#define CHUNK	(1 << 20)

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("second: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

static void __attribute__((noreturn)) end(void)
{
	fflush(stdout);
	tcdrain(1);
	reboot(RB_AUTOBOOT);
	_exit(1);
}

static void __attribute__((noreturn)) fail(const char *what)
{
	say("%s: %s", what, strerror(errno));
	end();
}

/* How a marked page begins; no program has this text at the start of a page. */
static uint64_t mark_of(bool direct, int i)
{
	return (direct ? 0x0d1d2d3d4d5d6d7dULL : 0x0a1a2a3a4a5a6a7aULL) * (2 * i + 3);
}

static bool marked(const void *page, bool direct)
{
	const uint64_t *p = page;

	return p[0] == mark_of(direct, 0) && p[1] == mark_of(direct, 1) &&
	       p[2] == mark_of(direct, 2);
}

static int mark(const char *path, bool direct, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	char *p = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, size))
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		perror(path);
		return 1;
	}
	for (size_t i = 0; i < size; i += PAGE) {
		for (int j = 0; j < 3; j++)
			((uint64_t *)(p + i))[j] = mark_of(direct, j);
	}
	return 0;
}

/* Is all memory that the kernel had in the dump, but for what this one runs in? */
static void check_cover(const Elf64_Phdr *ph, int n, const struct ranges *ram,
			const struct ranges *crash)
{
	unsigned long long lost = 0;

	for (int i = 0; i < ram->n; i++) {
		unsigned long long at = ram->r[i].start, next;

		if (at < 1 << 20)	/* x86 keeps the first MiB for itself */
			at = 1 << 20;
		for (; at < ram->r[i].end; at = next) {
			next = at;
			for (int j = 0; j < n; j++) {
				if (ph[j].p_type == PT_LOAD && at >= ph[j].p_paddr &&
				    at < ph[j].p_paddr + ph[j].p_filesz)
					next = ph[j].p_paddr + ph[j].p_filesz;
			}
			for (int j = 0; j < crash->n; j++) {
				if (at >= crash->r[j].start && at < crash->r[j].end)
					next = crash->r[j].end;
			}
			if (next == at) {
				next = at + PAGE;
				lost += PAGE;
			}
		}
	}
	say("%llu bytes of System RAM are not in the dump", lost);
}

static void crashed(void)
{
	int fd = open("/proc/vmcore", O_RDONLY), n, loads = 0, direct = 0, found = 0, wrong = 0;
	static char headers[1 << 16], buf[CHUNK], log[1 << 17];
	Elf64_Ehdr *eh = (void *)headers;
	struct ranges dmem, ram, crash;
	unsigned long long bytes = 0;
	Elf64_Phdr *ph;

	if (fd < 0)
		fail("/proc/vmcore");
	if (!iomem_read("/iomem", "dmem", &dmem) || !iomem_read("/iomem", "System RAM", &ram) ||
	    !iomem_read("/iomem", "Crash kernel", &crash))
		fail("/iomem");
	if (pread(fd, headers, sizeof(headers), 0) < (ssize_t)sizeof(*eh) ||
	    memcmp(eh->e_ident, ELFMAG, SELFMAG))
		fail("no ELF header");
	ph = (void *)(headers + eh->e_phoff);
	n = eh->e_phnum;
	for (int i = 0; i < n; i++) {
		if (ph[i].p_type != PT_LOAD)
			continue;
		loads++;
		if (overlap(&dmem, ph[i].p_paddr, ph[i].p_paddr + ph[i].p_filesz)) {
			say("load %d is direct memory: %#llx, %#llx bytes", i,
			    (unsigned long long)ph[i].p_paddr, (unsigned long long)ph[i].p_filesz);
			wrong++;
		}
		for (size_t at = 0; at < ph[i].p_filesz; at += CHUNK) {
			size_t want = ph[i].p_filesz - at < CHUNK ? ph[i].p_filesz - at : CHUNK;
			ssize_t got = pread(fd, buf, want, ph[i].p_offset + at);

			if (got != (ssize_t)want)
				fail("read of /proc/vmcore");
			bytes += got;
			for (ssize_t j = 0; j + PAGE <= got; j += PAGE) {
				found += marked(buf + j, false);
				direct += marked(buf + j, true);
			}
		}
	}
	if (!loads || !bytes)
		say("the dump is empty");
	say("%d loads of the dump are direct memory", wrong);
	check_cover(ph, n, &ram, &crash);
	say("ordinary pages in the dump: %s", found >= 1024 ? "all" : "not all");
	say("direct pages in the dump: %d", direct);

	klogctl(3, log, sizeof(log) - 1);
	say("direct memory here: %s%s", iomem_read("/proc/iomem", "dmem", &dmem) ? "some" : "none",
	    strstr(log, "dmem: nothing is taken by a kernel that saves a crash dump") ?
	    ", as the log says" : "");
}

/* All direct memory there is, and what is not zero in it. */
static void again(void)
{
	unsigned long long size, bad = 0, dirty = 0;
	struct statfs st;
	uint64_t *p;
	int fd;

	mkdir("/d", 0755);
	if (mount("none", "/d", "dmemfs", 0, "pagesize=2M") || statfs("/d", &st))
		fail("dmemfs");
	size = (unsigned long long)st.f_bfree * st.f_bsize;
	fd = open("/d/f", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, size))
		fail("/d/f");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	for (unsigned long long i = 0; i < size / 8; i++) {
		bad += !!p[i];
		if (!(i % (PAGE / 8)))
			dirty += marked(p + i, true);
	}
	say("%llu bytes of direct memory, %llu words are not zero, %llu pages are marked", size, bad,
	    dirty);
}

int main(int argc, char **argv)
{
	const char *role = getenv("role");
	int fd;

	if (argc == 5 && !strcmp(argv[1], "mark"))
		return mark(argv[2], !strcmp(argv[3], "direct"), (size_t)atoi(argv[4]) << 20);
	if (getpid() != 1) {
		fprintf(stderr, "usage: second mark FILE ordinary|direct MIB\n");
		return 2;
	}
	mkdir("/dev", 0755);
	mkdir("/proc", 0555);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	fd = open("/dev/console", O_RDWR);
	if (fd < 0)
		end();
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (role && !strcmp(role, "crashed"))
		crashed();
	else if (role && !strcmp(role, "again"))
		again();
	else
		say("no role");
	say("done");
	end();
}
