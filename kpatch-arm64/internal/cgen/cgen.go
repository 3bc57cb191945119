// Package cgen makes pairs of small C sources at random, for property tests:
// kernel-like functions that use static variables, strings, jump labels,
// warnings, exception entries, alternatives and inlines, and the same after a
// change.
package cgen

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"sort"
	"strings"
)

// Prelude declares, in our own words, what the kernel's macros boil down to.
const Prelude = `
typedef unsigned long u64; typedef unsigned int u32; typedef unsigned short u16; typedef unsigned char u8;
#define noinline __attribute__((noinline))
#define noipa __attribute__((noipa))
#define used __attribute__((used))
#define section(s) __attribute__((section(s)))
#define notrace __attribute__((patchable_function_entry(0, 0)))
#define init section(".init.text") noinline
extern int printk(const char *fmt, ...);
extern int sink(void *); extern int other(int);
#define WARN_ON(c) do { if (__builtin_expect(!!(c), 0)) asm volatile( \
	".pushsection __bug_table,\"aw\"\n.align 2\n1: .long 2f - 1b\n.long %c0 - .\n.short %c1\n.short 0\n.popsection\n2: brk #0x800" \
	:: "S"(__FILE__), "i"(__LINE__)); } while (0)
#define WARN_ONCE(c) do { static u8 section(".data..once") __already_done; \
	if ((c) && !__already_done) { __already_done = 1; WARN_ON(1); } } while (0)
struct key { u64 enabled; };
#define branch(key) ({ __label__ no; u64 r = 1; asm goto("1: nop\n.pushsection __jump_table,\"aw\"\n.align 3\n" \
	".long 1b - ., %l[no] - .\n.quad %c0 - .\n.popsection" :: "i"(key) :: no); if (0) { no: r = 0; } r; })
#define ALT(a, b, cap) asm volatile("661:\n" a "\n662:\n.pushsection .altinstructions,\"a\"\n.word 661b - .\n.word 663f - .\n" \
	".hword " #cap "\n.byte 662b-661b\n.byte 664f-663f\n.popsection\n.subsection 1\n663:\n" b "\n664:\n.previous" ::: "memory")
#define ALT_CALL(cb) asm volatile("661: nop\n662:\n.pushsection .altinstructions,\"a\"\n.word 661b - .\n.word " #cb " - .\n" \
	".hword 0x8001\n.byte 662b-661b\n.byte 0\n.popsection" ::: "memory")
#define LOAD(p) ({ u64 v; asm volatile("1: ldtr %0, [%1]\n2:\n.pushsection __ex_table,\"a\"\n.align 2\n.long 1b - ., 2b - .\n" \
	".short 3, 0\n.popsection" : "=r"(v) : "r"(p)); v; })
#line 1 "test.c"
`

var choice = regexp.MustCompile(`(?s)⟦(.*?)\|\|(.*?)⟧`)

// Pair returns the two versions of a source in which ⟦before||after⟧ marks what
// changes, with the prelude in front.
func Pair(src string) (before, after string) {
	return Prelude + choice.ReplaceAllString(src, "$1"), Prelude + choice.ReplaceAllString(src, "$2")
}

// Sample is a random source with a random change.
type Sample struct {
	Source string // for Pair
	// Changed and New name what the change touches.
	Changed, New []string
}

// New makes a sample. Equal seeds make equal samples.
func New(seed uint64) Sample {
	g := &gen{r: rand.New(rand.NewPCG(seed, 1))}
	return g.sample()
}

type gen struct {
	r    *rand.Rand
	vars int
}

func (g *gen) n(n int) int { return g.r.IntN(n) }

func (g *gen) sample() Sample {
	var s Sample
	var b strings.Builder
	b.WriteString("struct key key_a, key_b; static struct key key_s; int global = 5; static int file_static; static const int table[] = { 3, 1, 4, 1, 5, 9 };\n")
	b.WriteString("static inline int helper(int x) { WARN_ON(x == 77); return other(x) + file_static++; }\n")
	funcs := 4 + g.n(5)
	changed := map[int]bool{}
	for len(changed) < 1+g.n(2) {
		changed[g.n(funcs)] = true
	}
	for i := range funcs {
		name := fmt.Sprintf("fn%d", i)
		place := ""
		switch g.n(6) {
		case 0:
			place = `section(".sched.text") `
		case 1:
			place = "static used "
		}
		extra := ""
		if changed[i] {
			s.Changed = append(s.Changed, name)
			extra = g.change(&b, &s, i)
		}
		fmt.Fprintf(&b, "%snoipa int %s(int x, u64 *p)\n{\n\tint y = %d;\n", place, name, g.n(1000))
		stmts := 1 + g.n(6)
		at := g.n(stmts + 1)
		for k := range stmts {
			if k == at {
				b.WriteString(extra)
			}
			b.WriteString("\t" + g.statement(i) + "\n")
		}
		if at == stmts {
			b.WriteString(extra)
		}
		b.WriteString("\treturn y;\n}\n")
	}
	s.Source = b.String()
	sort.Strings(s.Changed)
	sort.Strings(s.New)
	return s
}

// change returns a change to the body of function i; what it needs is written
// before the function. Lines are numbered as hotpatch build would.
func (g *gen) change(b *strings.Builder, s *Sample, i int) string {
	line := "\n#line 9000 \"new in test.c\"\n\t"
	back := fmt.Sprintf("\n#line %d \"test.c\"\n", 100000+i)
	var add string
	switch g.n(8) {
	case 0:
		add = fmt.Sprintf("y += other(%d);", 5000+g.n(100))
	case 1:
		add = fmt.Sprintf("printk(\"fresh text %d\");", g.n(1000))
	case 2:
		n := fmt.Sprintf("fresh%d", i)
		s.New = append(s.New, n)
		fmt.Fprintf(b, "⟦||static noipa int %s(int x) { WARN_ON(x == 3); return other(x) * 7 + %d; }\n⟧", n, g.n(100))
		add = fmt.Sprintf("y += %s(x);", n)
	case 3:
		add = fmt.Sprintf("{ static int counted%d; y += counted%d++; sink(&counted%d); }", i, i, i)
	case 4:
		add = "WARN_ONCE(x == 4242);"
	case 5:
		add = "if (branch(&key_b)) y += other(9);"
	case 6:
		add = "y += LOAD(p + 31);"
	case 7:
		add = "ALT(\"nop\", \"wfe\", 9);"
	}
	// The line after the change is numbered alike in both versions.
	return "⟦" + back + "||" + line + add + back + "⟧"
}

func (g *gen) statement(i int) string {
	g.vars++
	v := g.vars
	switch g.n(15) {
	case 0:
		return fmt.Sprintf("y += other(x + %d);", g.n(100))
	case 1:
		return fmt.Sprintf("printk(\"text %d %%d\", y);", g.n(5))
	case 2:
		return fmt.Sprintf("{ static int count; y += count++ * %d; sink(&count); }", 1+g.n(9))
	case 3:
		return fmt.Sprintf("WARN_ON(x == %d);", v)
	case 4:
		return fmt.Sprintf("WARN_ONCE(x == %d);", v)
	case 5:
		return fmt.Sprintf("if (branch(&key_%c)) y += other(%d);", "abs"[g.n(3)], g.n(50))
	case 6:
		return fmt.Sprintf("y += LOAD(p + %d);", g.n(8))
	case 7:
		return fmt.Sprintf("ALT(\"nop\", \"%s\", %d);", []string{"wfi", "wfe", "sev"}[g.n(3)], g.n(20))
	case 8:
		return fmt.Sprintf("switch (x) { case 0: y = other(%d); break; case 1: y = sink(&y); break; case 2: y = printk(\"two\"); break; case 3: y *= 3; break; case 4: y = other(y); break; case 5: y = other(x); break; }", g.n(9))
	case 9:
		return fmt.Sprintf("switch (y) { case 1: y = %d; break; case 2: y = 77; break; case 3: y = 5; break; case 4: y = 1001; break; case 5: y = 12; break; default: y = 2; }", g.n(99))
	case 10:
		return "y += table[x & 3] + global;"
	case 11:
		return "y += helper(y);"
	case 12:
		if i > 0 {
			return fmt.Sprintf("y += fn%d(y, p);", g.n(i))
		}
		return "file_static = y;"
	case 13:
		if i > 0 {
			return fmt.Sprintf("sink(fn%d);", g.n(i))
		}
		return "sink(&file_static);"
	}
	return fmt.Sprintf("y = \"0123456789abcdef\"[(x + %d) & 15 - 1];", g.n(3))
}
