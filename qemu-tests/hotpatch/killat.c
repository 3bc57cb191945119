// SPDX-License-Identifier: GPL-2.0
/*
 * killat N COMMAND...: run a command and kill it, as by kill -9, at the Nth
 * point at which it changes something: before or after a system call that
 * writes, syncs, renames, removes, or loads or unloads a module. Exits with 0
 * if it was killed, 1 if it ended before.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static const long calls[] = {
	SYS_write, SYS_pwrite64, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fallocate, SYS_renameat, SYS_renameat2,
	SYS_unlinkat, SYS_mkdirat, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_flock,
};

static int counts(pid_t tid)
{
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };
	unsigned int i;

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov))
		return 0;
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if ((long)regs.regs[8] == calls[i])
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
	int at = argc > 2 ? atoi(argv[1]) : 0, n = 0, status, signal;
	pid_t pid, tid;

	if (at < 1)
		return 2;
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execv(argv[2], argv + 2);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, options);
	ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status)) {
			if (tid == pid)
				return 1;
			continue;
		}
		signal = WSTOPSIG(status);
		if (signal == (SIGTRAP | 0x80)) {
			signal = 0;
			if (counts(tid) && ++n == at) {
				kill(pid, SIGKILL);
				while (waitpid(-1, &status, __WALL) > 0)
					;
				return 0;
			}
		} else if (signal == SIGTRAP || signal == SIGSTOP) {
			signal = 0;
		}
		ptrace(PTRACE_SYSCALL, tid, NULL, signal);
	}
	return 1;
}
