/*
 * switch ROUNDS
 *
 * What the scheduler costs those who have nothing to do with VMF, all on CPU 0:
 *
 *	pipe       two processes hand a byte to and fro, ROUNDS times; a round is two
 *	           wake-ups and two context switches. The first WARM are not counted:
 *	           the pages that two processes no longer share after a fork are copied
 *	           in them. ROUNDS should last hundreds of ticks: whether five or six
 *	           came in 2,000 rounds is half a percent
 *	hackbench  as the program of that name does: 10 processes send 100 bytes to
 *	           each of 10 others through socket pairs, ROUNDS / 800 times; an
 *	           operation is one message. Who happens to run when the tick comes
 *	           decides how often they are switched, and an instruction more or less
 *	           anywhere decides who that is. So the mean is told of 100 times, which
 *	           begin each at another time between two ticks, and of how many context
 *	           switches there were
 */
#define _GNU_SOURCE
#include <sys/socket.h>
#include <sys/wait.h>

#include "../../smoke/bench/hogs.h"
#include "../../smoke/bench/probe.h"

#define PEOPLE 10
#define MESSAGE 100
#define TIMES 100
#define WARM 100

static void all(int fd, char *buf, size_t size, ssize_t (*fn)(int, char *, size_t))
{
	while (size) {
		ssize_t n = fn(fd, buf, size);

		if (n <= 0)
			die("a pipe");
		buf += n;
		size -= n;
	}
}

static ssize_t put(int fd, char *buf, size_t size)
{
	return write(fd, buf, size);
}

static ssize_t get(int fd, char *buf, size_t size)
{
	return read(fd, buf, size);
}

static void pipes(long rounds)
{
	int64_t begin = 0;
	int to[2], fro[2];
	pid_t pid;
	char c = 0;

	if (pipe(to) || pipe(fro))
		die("pipe");
	pid = child();
	if (!pid) {
		for (long i = -WARM; i < rounds; i++) {
			all(to[0], &c, 1, get);
			all(fro[1], &c, 1, put);
		}
		_exit(0);
	}
	for (long i = -WARM; i < rounds; i++) {
		if (!i)
			begin = now();
		all(to[1], &c, 1, put);
		all(fro[0], &c, 1, get);
	}
	printf("BenchmarkPipe %ld %.1f ns/op\n", rounds, (double)(now() - begin) / rounds);
	waitpid(pid, NULL, 0);
}

/* Context switches since the machine was started */
static long switches(void)
{
	FILE *f = fopen("/proc/stat", "r");
	char line[4096];
	long n = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "ctxt %ld", &n) == 1)
			break;
	if (!f || n < 0)
		die("/proc/stat");
	fclose(f);
	return n;
}

static int64_t hackbench(long loops)
{
	int pair[PEOPLE][2];
	pid_t pids[2 * PEOPLE];
	char buf[MESSAGE] = { 0 };
	int64_t begin;
	int i, to, status;

	for (i = 0; i < PEOPLE; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]))
			die("socketpair");
	begin = now();
	for (i = 0; i < 2 * PEOPLE; i++) {
		pids[i] = child();
		if (pids[i])
			continue;
		if (i < PEOPLE) {
			for (long n = 0; n < loops * PEOPLE; n++)
				all(pair[i][0], buf, MESSAGE, get);
		} else {
			for (long n = 0; n < loops; n++)
				for (to = 0; to < PEOPLE; to++)
					all(pair[to][1], buf, MESSAGE, put);
		}
		_exit(0);
	}
	for (i = 0; i < 2 * PEOPLE; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status)
			die("a process failed");
	begin = now() - begin;
	for (i = 0; i < PEOPLE; i++) {
		close(pair[i][0]);
		close(pair[i][1]);
	}
	return begin;
}

static void hackbenches(long loops)
{
	long ops = 0, switched = switches();
	int64_t sum = 0;

	for (int i = 0; i < TIMES; i++) {
		/* Ticks are 4 ms; a sleep ends with the timer, not with a tick */
		usleep(4000 / TIMES * i + 1);
		sum += hackbench(loops);
		ops += loops * PEOPLE * PEOPLE;
	}
	printf("BenchmarkHackbench %ld %.1f ns/op %.4f switches/op\n", ops, (double)sum / ops,
	       (double)(switches() - switched) / ops);
}

int main(int argc, char **argv)
{
	long rounds;

	if (argc != 2) {
		fprintf(stderr, "usage: switch ROUNDS\n");
		return 2;
	}
	rounds = number(argv[1]);
	to_cpu0();
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	pipes(rounds);
	hackbenches(rounds / 800 + 1);
	return 0;
}
