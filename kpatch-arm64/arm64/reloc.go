package arm64

import "cloudkernel/kpatch-arm64/arch"

// Relocation types, from "ELF for the Arm 64-bit Architecture", section
// "Relocation".
const (
	rNone           = 0
	rAbs64          = 257
	rAbs32          = 258
	rAbs16          = 259
	rPrel64         = 260
	rPrel32         = 261
	rPrel16         = 262
	rMovwUabsG0     = 263
	rMovwSabsG2     = 272
	rLdPrelLo19     = 273
	rAdrPrelLo21    = 274
	rAdrPrelPgHi21  = 275
	rAdrPrelPgHi21N = 276
	rAddAbsLo12     = 277
	rLdst8          = 278
	rTstbr14        = 279
	rCondbr19       = 280
	rJump26         = 282
	rCall26         = 283
	rLdst16         = 284
	rLdst32         = 285
	rLdst64         = 286
	rMovwPrelG0     = 287
	rMovwPrelG3     = 293
	rLdst128        = 299
	rAdrGotPage     = 311
	rLd64GotLo12    = 312
	rPlt32          = 314
)

// Immediate fields of A64 instructions, as masks.
const (
	imm26   = 0x03ffffff // B, BL
	imm19   = 0x00ffffe0 // B.cond, CBZ, LDR (literal)
	imm14   = 0x0007ffe0 // TBZ
	imm21   = 0x60ffffe0 // ADR, ADRP: immlo in bits 30:29, immhi in 23:5
	imm12   = 0x003ffc00 // ADD, LDR, STR with an unsigned offset
	imm16   = 0x001fffe0 // MOVZ, MOVN, MOVK
	movOpcd = 0x60000000 // a signed MOVW relocation also chooses MOVZ or MOVN
)

func insn(name string, mask uint64, use arch.Use) arch.Field {
	return arch.Field{Name: "R_AARCH64_" + name, Size: 4, Mask: mask, Use: use, Loads: true}
}

func datum(name string, size int) arch.Field {
	return arch.Field{Name: "R_AARCH64_" + name, Size: size, Mask: ^uint64(0) >> (64 - 8*size), Use: arch.UsePointer, Loads: true}
}

func unloadable(f arch.Field) arch.Field {
	f.Loads = false
	return f
}

// fields holds the static relocations that compilers emit for kernel code.
// Loads follows apply_relocate_add() in arch/arm64/kernel/module.c.
var fields = movw(map[uint32]arch.Field{
	rNone:           {Name: "R_AARCH64_NONE", Loads: true},
	rAbs64:          datum("ABS64", 8),
	rAbs32:          datum("ABS32", 4),
	rAbs16:          datum("ABS16", 2),
	rPrel64:         datum("PREL64", 8),
	rPrel32:         datum("PREL32", 4),
	rPrel16:         datum("PREL16", 2),
	rPlt32:          unloadable(datum("PLT32", 4)),
	rLdPrelLo19:     insn("LD_PREL_LO19", imm19, arch.UseAddress),
	rAdrPrelLo21:    insn("ADR_PREL_LO21", imm21, arch.UseAddress),
	rAdrPrelPgHi21:  insn("ADR_PREL_PG_HI21", imm21, arch.UseAddress),
	rAdrPrelPgHi21N: insn("ADR_PREL_PG_HI21_NC", imm21, arch.UseAddress),
	rAddAbsLo12:     insn("ADD_ABS_LO12_NC", imm12, arch.UseAddress),
	rLdst8:          insn("LDST8_ABS_LO12_NC", imm12, arch.UseAddress),
	rLdst16:         insn("LDST16_ABS_LO12_NC", imm12, arch.UseAddress),
	rLdst32:         insn("LDST32_ABS_LO12_NC", imm12, arch.UseAddress),
	rLdst64:         insn("LDST64_ABS_LO12_NC", imm12, arch.UseAddress),
	rLdst128:        insn("LDST128_ABS_LO12_NC", imm12, arch.UseAddress),
	rTstbr14:        insn("TSTBR14", imm14, arch.UseCall),
	rCondbr19:       insn("CONDBR19", imm19, arch.UseCall),
	rJump26:         insn("JUMP26", imm26, arch.UseCall),
	rCall26:         insn("CALL26", imm26, arch.UseCall),
	rAdrGotPage:     unloadable(insn("ADR_GOT_PAGE", imm21, arch.UseAddress)),
	rLd64GotLo12:    unloadable(insn("LD64_GOT_LO12_NC", imm12, arch.UseAddress)),
})

// movw adds the types that fill a MOVZ, MOVN or MOVK, 16 bits at a time.
func movw(fields map[uint32]arch.Field) map[uint32]arch.Field {
	uabs := []string{"UABS_G0", "UABS_G0_NC", "UABS_G1", "UABS_G1_NC", "UABS_G2", "UABS_G2_NC", "UABS_G3", "SABS_G0", "SABS_G1", "SABS_G2"}
	for i, n := range uabs {
		mask := uint64(imm16)
		if i >= 7 {
			mask |= movOpcd
		}
		fields[rMovwUabsG0+uint32(i)] = insn("MOVW_"+n, mask, arch.UseAddress)
	}
	prel := []string{"G0", "G0_NC", "G1", "G1_NC", "G2", "G2_NC", "G3"}
	for i, n := range prel {
		fields[rMovwPrelG0+uint32(i)] = insn("MOVW_PREL_"+n, imm16|movOpcd, arch.UseAddress)
	}
	return fields
}
