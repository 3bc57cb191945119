/*
 * Maps a file that has all of dmemfs, says so, and goes over it again and again
 * until a machine check comes. Then it prints what it was told, and whether all
 * the rest is as it was.
 *
 * Usage: victim FILE BYTES READY-FILE
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static sigjmp_buf jmp;
static siginfo_t info;

static void on_bus(int sig, siginfo_t *si, void *ctx)
{
	(void)sig;
	(void)ctx;
	info = *si;
	siglongjmp(jmp, 1);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER };
	size_t size, off, wrong = 0, bad = 0;
	volatile uint64_t *w;
	uint64_t sum = 0;
	time_t end;
	int fd;

	if (argc != 4)
		return 2;
	size = strtoul(argv[2], NULL, 0);
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, size))
		fail(argv[1]);
	w = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (w == MAP_FAILED)
		fail("mmap");
	for (off = 0; off < size; off += 4096)
		w[off / 8] = off;
	sigaction(SIGBUS, &sa, NULL);
	fd = open(argv[3], O_WRONLY | O_CREAT, 0600);
	if (fd < 0)
		fail(argv[3]);
	close(fd);

	end = time(NULL) + 60;
	if (!sigsetjmp(jmp, 1)) {
		while (time(NULL) < end) {
			for (off = 0; off < size; off += 4096)
				sum += w[off / 8];
		}
		printf("nothing happened\n");
		return 1;
	}
	printf("SIGBUS code %d lsb %d\n", info.si_code, info.si_addr_lsb);
	bad = (uintptr_t)info.si_addr - (uintptr_t)w;
	for (off = 0; off < size; off += 4096)
		wrong += off != (bad & ~4095UL) && w[off / 8] != off;
	printf("%zu other pages are wrong\n", wrong);
	return wrong != 0;
}
