// Package arm64 is everything that the AArch64 architecture decides for the
// hotpatch compiler: its relocations, its instructions that refer to other
// code, and the layout of the kernel's special sections on it.
package arm64

import (
	"encoding/binary"
	"sync"

	"golang.org/x/arch/arm64/arm64asm"

	"cloudkernel/kpatch-arm64/arch"
)

// Arch is AArch64, little-endian.
var Arch arch.Arch = a64{}

type a64 struct{}

func (a64) Name() string    { return "arm64" }
func (a64) Machine() uint16 { return 183 }
func (a64) Unit() int       { return 4 }

func (a64) Field(typ uint32) (arch.Field, bool) {
	f, ok := fields[typ]
	return f, ok
}

// specials are the tables of an arm64 kernel. Where the layouts come from:
//
//	__ex_table        struct exception_table_entry, asm/extable.h
//	.altinstructions  struct alt_instr, asm/alternative.h
//	__jump_table      struct jump_entry, linux/jump_label.h
//	__bug_table       struct bug_entry, asm-generic/bug.h; 8 bytes without DEBUG_BUGVERBOSE
//	_kprobe_blacklist NOKPROBE_SYMBOL, asm-generic/kprobes.h
//	__patchable_function_entries  made by the compiler
var specials = byName(
	&arch.Special{Name: "__ex_table", Sizes: []uint64{12}, Key: -1},
	&arch.Special{Name: ".altinstructions", Sizes: []uint64{12}, Key: -1, Replacement: &arch.Replacement{Off: 4, Len: 11}},
	&arch.Special{Name: "__jump_table", Sizes: []uint64{16}, Key: 8},
	&arch.Special{Name: "__bug_table", Sizes: []uint64{12, 8}, Key: -1},
	&arch.Special{Name: "_kprobe_blacklist", Sizes: []uint64{8}, Key: -1},
	&arch.Special{Name: "__patchable_function_entries", Sizes: []uint64{8}, Key: -1, Site: true},
)

func byName(list ...*arch.Special) map[string]*arch.Special {
	m := make(map[string]*arch.Special, len(list))
	for _, s := range list {
		m[s.Name] = s
	}
	return m
}

func (a64) Special(section string) *arch.Special { return specials[section] }

const nop = 0xd503201f

func (a64) Nop(code []byte) bool {
	for len(code) >= 4 {
		if w := binary.LittleEndian.Uint32(code); w != nop && w != 0 {
			return false
		}
		code = code[4:]
	}
	for _, b := range code {
		if b != 0 {
			return false
		}
	}
	return true
}

// Fixed decodes the PC-relative forms of A64 (Arm ARM, C4.1 "A64 instruction
// set encoding"): branches, compare-and-branch, test-and-branch, literal loads
// and ADR. ADRP is left out: its target depends on the page the code lies in,
// so an assembler never resolves it.
func (a64) Fixed(code []byte) []arch.Fixed {
	var list []arch.Fixed
	for off := 0; off+4 <= len(code); off += 4 {
		w := binary.LittleEndian.Uint32(code[off:])
		var typ uint32
		var dist int64
		switch {
		case w&0x7c000000 == 0x14000000: // B, BL
			typ, dist = rJump26, signed(w&imm26, 26)*4
			if w>>31 != 0 {
				typ = rCall26
			}
		case w&0xff000000 == 0x54000000, w&0x7e000000 == 0x34000000: // B.cond, CBZ, CBNZ
			typ, dist = rCondbr19, signed(w>>5&0x7ffff, 19)*4
		case w&0x7e000000 == 0x36000000: // TBZ, TBNZ
			typ, dist = rTstbr14, signed(w>>5&0x3fff, 14)*4
		case w&0x3b000000 == 0x18000000: // LDR, LDRSW, PRFM (literal)
			typ, dist = rLdPrelLo19, signed(w>>5&0x7ffff, 19)*4
		case w&0x9f000000 == 0x10000000: // ADR
			typ, dist = rAdrPrelLo21, signed(w>>5&0x7ffff<<2|w>>29&3, 21)
		default:
			continue
		}
		list = append(list, arch.Fixed{Off: uint64(off), Target: int64(off) + dist, Type: typ})
	}
	return list
}

func signed(v uint32, bits uint) int64 {
	return int64(v) << (64 - bits) >> (64 - bits)
}

// The decoder notes which of its entries were used, for its own tests and for
// all goroutines in one place.
var decoder sync.Mutex

func (a64) Disasm(code []byte, pc uint64) (string, int) {
	if len(code) < 4 {
		return "(end)", max(len(code), 1)
	}
	decoder.Lock()
	inst, err := arm64asm.Decode(code[:4])
	decoder.Unlock()
	if err != nil {
		return ".inst " + hex(binary.LittleEndian.Uint32(code)), 4
	}
	return arm64asm.GNUSyntax(inst), 4
}

func hex(w uint32) string {
	const digits = "0123456789abcdef"
	b := []byte("0x00000000")
	for i := 9; i >= 2; i, w = i-1, w>>4 {
		b[i] = digits[w&15]
	}
	return string(b)
}
