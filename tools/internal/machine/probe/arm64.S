/*
 * The guest with which KVM is tried on arm64: loaded as firmware, at address 0
 * of the virt machine. It spends a million instructions and switches the
 * machine off with PSCI's SYSTEM_OFF (0x84000008).
 *
 * Assembled with as; objcopy -O binary. probes.go holds the bytes.
 */
	.globl	_start
_start:	movz	w1, #0x4240
	movk	w1, #0xf, lsl #16
1:	subs	w1, w1, #1
	b.ne	1b
	movz	w0, #8
	movk	w0, #0x8400, lsl #16
	hvc	#0
2:	wfi
	b	2b
