/*
 * PID 1 of the bare rigs. It waits for nobody: it says when it was reached, runs
 * the script in /bench/run, prints what that printed, and switches the machine
 * off. The console is its only way out; package bench reads
 *
 *	kernlab: pid1 TICKS HZ
 *	kernlab: ready TICKS HZ
 *	kernlab: begin
 *	...the script's standard output...
 *	kernlab: end EXITCODE
 *
 * TICKS is the architecture's counter, which on the deterministic rig counts
 * from reset.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCRIPT "/bench/run"
#define OUTPUT "/bench/output"

static uint64_t ticks(void)
{
#if defined(__aarch64__)
	uint64_t v;

	asm volatile("isb; mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
#endif
}

/* On x86 only icount makes the counter one of ns. */
static uint64_t hertz(void)
{
#if defined(__aarch64__)
	uint64_t v;

	asm volatile("mrs %0, cntfrq_el0" : "=r"(v));
	return v;
#else
	return 1000000000;
#endif
}

static void say(const char *what, uint64_t at)
{
	dprintf(1, "kernlab: %s %llu %llu\n", what, (unsigned long long)at, (unsigned long long)hertz());
}

/* Copies a file to the console. */
static void show(const char *path)
{
	char buf[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY);

	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		if (write(1, buf, n) < 0)
			break;
	if (fd >= 0)
		close(fd);
}

static int run(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int out = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		if (out >= 0)
			dup2(out, 1);
		if (chdir("/case"))
			perror("/case");
		setsid();
		execl("/usr/bin/busybox", "sh", "-e", SCRIPT, NULL);
		perror("/usr/bin/busybox");
		_exit(127);
	}
	/* Orphans are collected on the way. */
	for (;;) {
		int s;
		pid_t p = wait(&s);

		if (p == pid) {
			status = s;
			break;
		}
		if (p < 0)
			break;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The kernel's log: initcall_debug's lines, for where a boot's time goes. */
static void log_of_boot(void)
{
	int size = klogctl(10, NULL, 0); /* SYSLOG_ACTION_SIZE_BUFFER */
	char *buf = malloc(size > 0 ? size : 1);
	int n = buf ? klogctl(3, buf, size) : 0; /* SYSLOG_ACTION_READ_ALL */

	dprintf(1, "kernlab: log\n");
	for (int done = 0; done < n;) {
		ssize_t w = write(1, buf + done, n - done);

		if (w <= 0)
			break;
		done += w;
	}
	dprintf(1, "\nkernlab: logged\n");
}

int main(void)
{
	uint64_t pid1 = ticks(), ready;
	int code = 0;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mkdir("/tmp", 01777);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	ready = ticks();
	say("pid1", pid1);
	say("ready", ready);
	if (access(SCRIPT, R_OK) == 0) {
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
		mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
		mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL);
		setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
		setenv("HOME", "/root", 1);
		code = run();
		klogctl(6, NULL, 0); /* SYSLOG_ACTION_CONSOLE_OFF: no line of the kernel's amid ours */
		dprintf(1, "kernlab: begin\n");
		show(OUTPUT);
		dprintf(1, "\nkernlab: end %d\n", code);
	}
	if (getenv("kernlab_log"))
		log_of_boot();
	reboot(RB_AUTOBOOT);
	/* A panic would look like a fault of the kernel's. */
	for (;;)
		pause();
}
