/*
 * What the decoder is tested on; fault-arm64.o and fault-x86_64.o are made of it:
 *	$CC -g -gdwarf-5 -O2 -ffreestanding -fdebug-prefix-map=$PWD=/src -c fault.c -o fault-$ARCH.o
 */
static int *volatile nowhere;

static inline __attribute__((always_inline)) void store(int value)
{
	*nowhere = value;
}

static __attribute__((noinline, section(".text.second"))) void inner(int value)
{
	store(value);
	asm volatile("");
}

void outer(int value)
{
	inner(value + 1);
	asm volatile("");
}
