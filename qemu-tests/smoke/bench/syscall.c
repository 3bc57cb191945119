/*
 * syscall COUNT: what entering the kernel costs, on CPU 0.
 *
 *	getppid  a system call that does next to nothing
 *	yield    sched_yield() with nobody to yield to
 *	switch   a byte through a pipe to another process and back: two switches
 *	fork     fork(), exit and wait for it
 *	thread   what a futex wake and wait cost between two threads: as switch
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "probe.h"

static void result(const char *call, long n, int64_t took)
{
	printf("BenchmarkSyscall/call=%s %ld %.1f ns/op\n", call, n, (double)took / n);
}

static void simple(long n)
{
	int64_t begin;

	begin = now();
	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	result("getppid", n, now() - begin);
	begin = now();
	for (long i = 0; i < n; i++)
		sched_yield();
	result("yield", n, now() - begin);
}

static void ping_pong(long n)
{
	int there[2], back[2];
	int64_t begin;
	pid_t pid;
	char c = 0;

	if (pipe(there) || pipe(back))
		die("pipe");
	pid = fork();
	if (pid == 0) {
		for (long i = 0; i < n; i++)
			if (read(there[0], &c, 1) != 1 || write(back[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	begin = now();
	for (long i = 0; i < n; i++)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			die("ping");
	result("switch", n, now() - begin);
	waitpid(pid, NULL, 0);
}

static void forks(long n)
{
	int64_t begin = now();

	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			die("fork");
	}
	result("fork", n, now() - begin);
}

static uint32_t turn;
static long turns;

static void pass(uint32_t mine)
{
	while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 1 - mine, NULL, NULL, 0);
	__atomic_store_n(&turn, 1 - mine, __ATOMIC_RELEASE);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *other(void *arg)
{
	for (long i = 0; i < turns; i++)
		pass(1);
	return arg;
}

static void threads(long n)
{
	pthread_t t;
	int64_t begin;

	turns = n;
	begin = now();
	if (pthread_create(&t, NULL, other, NULL))
		die("pthread_create");
	for (long i = 0; i < n; i++)
		pass(0);
	pthread_join(t, NULL);
	result("thread", n, now() - begin);
}

int main(int argc, char **argv)
{
	cpu_set_t cpu0;
	long n;

	if (argc != 2) {
		fprintf(stderr, "usage: syscall COUNT\n");
		return 2;
	}
	n = number(argv[1]);
	CPU_ZERO(&cpu0);
	CPU_SET(0, &cpu0);
	if (sched_setaffinity(0, sizeof(cpu0), &cpu0))
		die("sched_setaffinity");
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	simple(n);
	ping_pong(n / 4);
	threads(n / 4);
	fflush(stdout);
	forks(n / 40 + 1);
	return 0;
}
