/*
 * The guest with which KVM is tried on x86_64: loaded by QEMU -kernel through
 * the firmware as a Multiboot 1 image (flat: the header has the addresses), so
 * the firmware must have run, in real and in protected mode, before any of
 * this does. It goes on to where Linux lives, long mode with paging, spends a
 * million instructions there and ends QEMU through isa-debug-exit.
 *
 * Assembled with as --32; objcopy -O binary. probes.go holds the bytes.
 */
	.set	BASE, 0x100000
	.set	TABLES, 0x200000	/* three pages: PML4, PDPT, PD */

	.code32
	.globl	_start
_start:
header:	.long	0x1badb002		/* Multiboot magic */
	.long	0x00010000		/* flags: addresses follow */
	.long	-(0x1badb002 + 0x00010000)
	.long	BASE			/* header */
	.long	BASE			/* load */
	.long	BASE + end - _start	/* end of data */
	.long	BASE + end - _start	/* end of bss */
	.long	BASE + entry - _start

entry:	cld
	mov	$TABLES, %edi		/* empty tables */
	xor	%eax, %eax
	mov	$3 * 1024, %ecx
	rep stosl
	movl	$TABLES + 0x1000 + 3, TABLES		/* present, writable */
	movl	$TABLES + 0x2000 + 3, TABLES + 0x1000
	movl	$0x83, TABLES + 0x2000			/* 2 MiB at 0, one to one */
	mov	%cr4, %eax
	or	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$TABLES, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER */
	rdmsr
	or	$0x100, %eax		/* LME */
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax	/* PG */
	mov	%eax, %cr0
	lgdt	BASE + gdtr - _start
	ljmp	$8, $BASE + long - _start

	.code64
long:	mov	$1000000, %ecx
1:	dec	%ecx
	jnz	1b
	mov	$0x2a, %al
	out	%al, $0xf4
	hlt

	.balign	8
gdt:	.quad	0
	.quad	0x00209a0000000000	/* 64-bit code */
gdtr:	.word	15
	.long	BASE + gdt - _start
end:
