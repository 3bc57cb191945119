/*
 * Virtual machines of the real QEMU, with KVM, on dmemfs: killed and started
 * anew again and again, or migrated while they run.
 *
 * The guest needs no operating system. It looks for a word of its memory that is
 * not zero, which would be a former guest's, and prints Z if there is none; then
 * it fills its memory with a pattern that is another one each time, prints P,
 * reads it back, and so on. If anything is not what it should be it prints X.
 *
 * Usage: guests restart TIMES DIR
 *        guests migrate TIMES DIR
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 120000 /* ms */

/* QEMU puts a device tree in the middle of 64M of memory, and this at its start. */
static const uint32_t guest_code[] = {
	0xd2a8040a,	/*	mov	x10, #0x40200000	*/
	0xd2a8400b,	/*	mov	x11, #0x42000000	*/
	0x94000016,	/*	bl	scan			*/
	0xd2a8480a,	/*	mov	x10, #0x42400000	*/
	0xd2a8800b,	/*	mov	x11, #0x44000000	*/
	0x94000013,	/*	bl	scan			*/
	0x52800b40,	/*	mov	w0, #'Z'		*/
	0x94000024,	/*	bl	put			*/
	0x9100058c,	/* 1:	add	x12, x12, #1		*/
	0xd2a8040a,	/*	mov	x10, #0x40200000	*/
	0xd2a8400b,	/*	mov	x11, #0x42000000	*/
	0x94000012,	/*	bl	fill			*/
	0xd2a8480a,	/*	mov	x10, #0x42400000	*/
	0xd2a8800b,	/*	mov	x11, #0x44000000	*/
	0x9400000f,	/*	bl	fill			*/
	0x52800a00,	/*	mov	w0, #'P'		*/
	0x9400001b,	/*	bl	put			*/
	0xd2a8040a,	/*	mov	x10, #0x40200000	*/
	0xd2a8400b,	/*	mov	x11, #0x42000000	*/
	0x94000010,	/*	bl	check			*/
	0xd2a8480a,	/*	mov	x10, #0x42400000	*/
	0xd2a8800b,	/*	mov	x11, #0x44000000	*/
	0x9400000d,	/*	bl	check			*/
	0x17fffff1,	/*	b	1b			*/
	0xf8408541,	/* scan: ldr	x1, [x10], #8		*/
	0xb50002a1,	/*	cbnz	x1, bad			*/
	0xeb0b015f,	/*	cmp	x10, x11		*/
	0x54ffffa3,	/*	b.lo	scan			*/
	0xd65f03c0,	/*	ret				*/
	0xca0c8141,	/* fill: eor	x1, x10, x12, lsl #32	*/
	0xf9000141,	/*	str	x1, [x10]		*/
	0x9108014a,	/*	add	x10, x10, #512		*/
	0xeb0b015f,	/*	cmp	x10, x11		*/
	0x54ffff83,	/*	b.lo	fill			*/
	0xd65f03c0,	/*	ret				*/
	0xca0c8141,	/* check: eor	x1, x10, x12, lsl #32	*/
	0xf9400142,	/*	ldr	x2, [x10]		*/
	0xeb02003f,	/*	cmp	x1, x2			*/
	0x54000101,	/*	b.ne	bad			*/
	0x9108014a,	/*	add	x10, x10, #512		*/
	0xeb0b015f,	/*	cmp	x10, x11		*/
	0x54ffff43,	/*	b.lo	check			*/
	0xd65f03c0,	/*	ret				*/
	0xd2a12003,	/* put:	mov	x3, #0x09000000		*/
	0xb9000060,	/*	str	w0, [x3]		*/
	0xd65f03c0,	/*	ret				*/
	0x52800b00,	/* bad:	mov	w0, #'X'		*/
	0x97fffffc,	/*	bl	put			*/
	0x14000000,	/*	b	.			*/
};

struct vm {
	pid_t pid;
	int serial;
	char ram[96], monitor[96];
};

static const char *dir;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void start(struct vm *vm, int n, const char *incoming)
{
	char backend[256], monitor[160];
	const char *args[] = {
		"qemu-system-aarch64", "-nodefaults", "-no-user-config", "-display", "none",
		"-M", "virt,gic-version=3,its=off,memory-backend=ram", "-accel", "kvm",
		"-cpu", "host", "-m", "64M", "-object", backend, "-kernel", "/tmp/guest.bin",
		"-chardev", "stdio,id=s,signal=off", "-serial", "chardev:s",
		"-monitor", monitor, incoming ? "-incoming" : NULL, incoming, NULL
	};
	int out[2];

	snprintf(vm->ram, sizeof(vm->ram), "%s/ram%d", dir, n);
	snprintf(vm->monitor, sizeof(vm->monitor), "/tmp/monitor%d", n);
	snprintf(monitor, sizeof(monitor), "unix:%s,server=on,wait=off", vm->monitor);
	snprintf(backend, sizeof(backend),
		 "memory-backend-file,id=ram,size=64M,share=on,align=2M,mem-path=%s", vm->ram);
	unlink(vm->monitor);
	if (pipe2(out, O_CLOEXEC))
		die("pipe");
	vm->pid = fork();
	if (vm->pid < 0)
		die("fork");
	if (!vm->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(out[1], 1);
		execvp(args[0], (char **)args);
		die(args[0]);
	}
	close(out[1]);
	vm->serial = out[0];
}

static void end(struct vm *vm)
{
	kill(vm->pid, SIGKILL);
	waitpid(vm->pid, NULL, 0);
	close(vm->serial);
	if (unlink(vm->ram))
		die(vm->ram);
}

/* Wait for the guest to print @want, @times times. */
static void expect(struct vm *vm, char want, int times)
{
	struct pollfd p = { .fd = vm->serial, .events = POLLIN };
	char c;

	while (times) {
		if (poll(&p, 1, PATIENCE) != 1 || read(vm->serial, &c, 1) != 1) {
			fprintf(stderr, "the guest said nothing: %c was expected\n", want);
			exit(1);
		}
		if (c == 'X') {
			fprintf(stderr, "the guest found what should not be there, before its %c\n", want);
			exit(1);
		}
		times -= c == want;
	}
}

static unsigned long long free_bytes(void)
{
	struct statfs st;

	if (statfs(dir, &st))
		die(dir);
	return (unsigned long long)st.f_bfree * st.f_bsize;
}

static void restart(int times)
{
	unsigned long long before = free_bytes();
	struct vm vm;
	int i;

	for (i = 0; i < times; i++) {
		start(&vm, 0, NULL);
		expect(&vm, 'Z', 1);
		expect(&vm, 'P', 1 + i % 2);
		usleep(rand() % 20000);
		end(&vm);
		if (free_bytes() != before) {
			fprintf(stderr, "round %d: %llu bytes are free, not %llu\n", i,
				free_bytes(), before);
			exit(1);
		}
	}
	printf("%d guests found nothing of each other\n", times);
}

/* Tell QEMU's monitor a line. */
static void tell(struct vm *vm, const char *line)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), i;
	struct pollfd p = { .fd = s, .events = POLLIN };
	char buf[4096];

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", vm->monitor);
	for (i = 0; connect(s, (struct sockaddr *)&a, sizeof(a)); i++) {
		if (i == PATIENCE / 100)
			die(vm->monitor);
		usleep(100000);
	}
	dprintf(s, "%s\n", line);
	/* It echoes; when it is silent it has done it. */
	while (poll(&p, 1, 1000) == 1 && read(s, buf, sizeof(buf)) > 0)
		;
	close(s);
}

static void migrate(int times)
{
	unsigned long long before = free_bytes();
	struct vm vm[2];
	int i;

	start(&vm[0], 0, NULL);
	expect(&vm[0], 'P', 2);
	for (i = 0; i < times; i++) {
		struct vm *from = &vm[i % 2], *to = &vm[(i + 1) % 2];

		unlink("/tmp/migration");
		start(to, i + 1, "unix:/tmp/migration");
		/* It listens once the socket is there and its main loop answers. */
		for (int n = 0; access("/tmp/migration", F_OK); n++) {
			if (n == PATIENCE / 100)
				die("/tmp/migration");
			usleep(100000);
		}
		tell(to, "info status");
		/* It writes faster than is copied: a long last pause. */
		tell(from, "migrate_set_parameter downtime-limit 60000");
		tell(from, "migrate -d unix:/tmp/migration");
		/* The first may have been printed by half of it before it moved. */
		expect(to, 'P', 3);
		end(from);
	}
	end(&vm[times % 2]);
	if (free_bytes() != before) {
		fprintf(stderr, "%llu bytes are free, not %llu\n", free_bytes(), before);
		exit(1);
	}
	printf("migrated %d times\n", times);
}

int main(int argc, char **argv)
{
	int fd = open("/tmp/guest.bin", O_WRONLY | O_CREAT | O_TRUNC, 0644), times;

	if (argc != 4 || (times = atoi(argv[2])) < 1)
		return 2;
	if (fd < 0 || write(fd, guest_code, sizeof(guest_code)) != sizeof(guest_code))
		die("/tmp/guest.bin");
	close(fd);
	dir = argv[3];
	if (!strcmp(argv[1], "restart"))
		restart(times);
	else if (!strcmp(argv[1], "migrate"))
		migrate(times);
	else
		return 2;
	return 0;
}
