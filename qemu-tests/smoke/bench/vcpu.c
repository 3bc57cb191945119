/*
 * vcpu HOGS MILLISECONDS POLICY...
 *
 * What a virtual CPU gets beside HOGS tasks that never sleep, seen from inside:
 * a real KVM guest of a few instructions reads its counter in a loop for so
 * long and keeps the longest time between two readings. Under each policy in
 * turn (hogs.h), which the thread that runs the vCPU has; all are on CPU 0.
 *
 *	share-%  loops by those of a vCPU that is alone
 *	gap-ns   the longest time in which the guest did not run
 *	steal-%  the time that the vCPU's thread waited for its CPU, by wall time: what
 *	         the kernel would tell the guest as stolen
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "hogs.h"
#include "probe.h"

#if defined(__aarch64__)

#define GUEST_CODE 0x10000
#define GUEST_SIZE 0x10000
#define GUEST_EXIT 0x8000000 /* nothing is there: a store ends KVM_RUN */

/*
 * x0: ticks to run for. x5: longest gap, x6: loops. x2: where a store exits.
 * Between two readings it counts to 100: an emulated counter is slow to read.
 */
extern const char guest_begin[], guest_end[];
asm(".pushsection .rodata\n"
    "	.balign 4\n"
    "	.globl guest_begin, guest_end\n" /* else both share an entry of the GOT */
    "guest_begin:\n"
    "	mrs	x3, cntvct_el0\n"
    "	mov	x4, x3\n"
    "	mov	x5, #0\n"
    "	mov	x6, #0\n"
    "1:	mov	x10, #100\n"
    "2:	subs	x10, x10, #1\n"
    "	b.ne	2b\n"
    "	mrs	x7, cntvct_el0\n"
    "	sub	x8, x7, x4\n"
    "	cmp	x8, x5\n"
    "	csel	x5, x8, x5, hi\n"
    "	mov	x4, x7\n"
    "	add	x6, x6, #1\n"
    "	sub	x9, x7, x3\n"
    "	cmp	x9, x0\n"
    "	b.lo	1b\n"
    "	str	xzr, [x2]\n"
    "guest_end:\n"
    ".popsection\n");

struct result {
	uint64_t loops, gap, steal, wall;
};

#define REG(n) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(n))

static void set_reg(int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	if (ioctl(vcpu, KVM_SET_ONE_REG, &reg))
		die("KVM_SET_ONE_REG");
}

static uint64_t get_reg(int vcpu, uint64_t id)
{
	uint64_t value = 0;
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	if (ioctl(vcpu, KVM_GET_ONE_REG, &reg))
		die("KVM_GET_ONE_REG");
	return value;
}

/* How long this thread waited for its CPU, in ns (proc(5), schedstat). */
static uint64_t run_delay(void)
{
	unsigned long long ran, waited = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "r");

	if (!f || fscanf(f, "%llu %llu", &ran, &waited) != 2)
		skip("the kernel has no schedstat");
	fclose(f);
	return waited;
}

static struct result run_vcpu(long ms)
{
	struct kvm_userspace_memory_region mem = { .guest_phys_addr = GUEST_CODE, .memory_size = GUEST_SIZE };
	struct kvm_vcpu_init init;
	struct kvm_run *run;
	struct result res;
	uint64_t hz, waited;
	int kvm, vm, vcpu, size;
	int64_t begin;
	char *code;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		skip("there is no KVM in this guest");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		die("KVM_CREATE_VM");
	code = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		die("mmap");
	memcpy(code, guest_begin, guest_end - guest_begin);
	mem.userspace_addr = (uintptr_t)code;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &mem))
		die("KVM_SET_USER_MEMORY_REGION");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		die("KVM_CREATE_VCPU");
	if (ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) || ioctl(vcpu, KVM_ARM_VCPU_INIT, &init))
		die("KVM_ARM_VCPU_INIT");
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		die("mmap of the vCPU");

	asm("mrs %0, cntfrq_el0" : "=r"(hz));
	set_reg(vcpu, REG(regs.pc), GUEST_CODE);
	set_reg(vcpu, REG(regs.regs[0]), hz / 1000 * ms);
	set_reg(vcpu, REG(regs.regs[2]), GUEST_EXIT);
	begin = now();
	waited = run_delay();
	do {
		if (ioctl(vcpu, KVM_RUN, 0) && errno != EINTR)
			die("KVM_RUN");
	} while (run->exit_reason == KVM_EXIT_INTR);
	res.steal = run_delay() - waited;
	res.wall = now() - begin;
	if (run->exit_reason != KVM_EXIT_MMIO) {
		fprintf(stderr, "the vCPU ended for reason %u\n", run->exit_reason);
		exit(1);
	}
	res.gap = get_reg(vcpu, REG(regs.regs[5])) * NSEC_PER_SEC / hz;
	res.loops = get_reg(vcpu, REG(regs.regs[6]));
	return res;
}

/* In a child, since a policy cannot be taken back. */
static struct result measure(long hogs_beside, long ms, char *policy)
{
	struct result *res = mmap(NULL, sizeof(*res), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	if (res == MAP_FAILED)
		die("mmap");
	fflush(stdout);
	start_hogs(hogs_beside);
	pid = fork();
	if (pid == 0) {
		if (!set_policy(policy))
			die(policy);
		*res = run_vcpu(ms);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	stop_hogs(hogs_beside);
	if (status)
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	return *res;
}

int main(int argc, char **argv)
{
	struct result alone;
	char eevdf[] = "eevdf";
	long n, ms;

	if (argc < 4) {
		fprintf(stderr, "usage: vcpu HOGS MILLISECONDS POLICY...\n");
		return 2;
	}
	n = number(argv[1]);
	ms = number(argv[2]);
	to_cpu0();
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	alone = measure(0, ms, eevdf);
	for (int i = 3; i < argc; i++) {
		struct result r = measure(n, ms, argv[i]);

		argv[i][strcspn(argv[i], ":")] = 0;
		printf("BenchmarkVcpu/policy=%s 1 %.2f share-%% %llu gap-ns %.2f steal-%%\n", argv[i],
		       100.0 * r.loops / alone.loops, (unsigned long long)r.gap, 100.0 * r.steal / r.wall);
	}
	return 0;
}

#else

int main(void)
{
	skip("this probe's guest is written for arm64");
}

#endif
