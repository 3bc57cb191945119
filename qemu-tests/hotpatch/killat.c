// SPDX-License-Identifier: GPL-2.0
/*
 * killat N COMMAND...: run a command and kill it, as by kill -9, at the Nth
 * point at which it changes something: before or after a system call that
 * writes, syncs, renames, removes, or loads or unloads a module. Exits with 0
 * if it was killed, 1 if it ended before.
 *
 * A seccomp filter stops the command at those calls alone.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_AT(nr) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE)

static struct sock_filter filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	STOP_AT(SYS_write), STOP_AT(SYS_pwrite64), STOP_AT(SYS_fsync), STOP_AT(SYS_fdatasync), STOP_AT(SYS_ftruncate),
	STOP_AT(SYS_fallocate), STOP_AT(SYS_renameat), STOP_AT(SYS_renameat2), STOP_AT(SYS_unlinkat), STOP_AT(SYS_mkdirat),
	STOP_AT(SYS_init_module), STOP_AT(SYS_finit_module), STOP_AT(SYS_delete_module), STOP_AT(SYS_flock),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void command(char **argv)
{
	struct sock_fprog prog = { sizeof(filter) / sizeof(filter[0]), filter };

	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

int main(int argc, char **argv)
{
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL;
	int at = argc > 2 ? atoi(argv[1]) : 0, n = 0, status, signal, before;
	pid_t pid, tid;

	if (at < 1)
		return 2;
	pid = fork();
	if (!pid)
		command(argv + 2);
	waitpid(pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, options);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status)) {
			if (tid == pid)
				return WIFEXITED(status) && WEXITSTATUS(status) >= 126 ? 3 : 1;
			continue;
		}
		signal = WSTOPSIG(status);
		before = status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
		if ((before || signal == (SIGTRAP | 0x80)) && ++n == at) {
			kill(pid, SIGKILL);
			while (waitpid(-1, &status, __WALL) > 0)
				;
			return 0;
		}
		if (signal == SIGSTOP || (signal & ~0x80) == SIGTRAP)
			signal = 0;
		/* From before the call to its end, from there to the next. */
		ptrace(before ? PTRACE_SYSCALL : PTRACE_CONT, tid, NULL, signal);
	}
	return 1;
}
