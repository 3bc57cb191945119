package elfw

// Sizes of the structures of ELF-64, in bytes.
const (
	ehdrSize = 64
	shdrSize = 64
	SymSize  = 24
	RelaSize = 24
)

// Values of the file header.
const (
	elfClass64   = 2
	elfData2LSB  = 1
	evCurrent    = 1
	EtRel        = 1   // ET_REL
	EtExec       = 2   // ET_EXEC
	EtDyn        = 3   // ET_DYN
	EmX86_64     = 62  // EM_X86_64
	EmAArch64    = 183 // EM_AARCH64
	shnLoReserve = 0xff00
)

// Section types.
const (
	ShtNull        = 0
	ShtProgbits    = 1
	ShtSymtab      = 2
	ShtStrtab      = 3
	ShtRela        = 4
	ShtNote        = 7
	ShtNobits      = 8
	ShtRel         = 9
	ShtInitArray   = 14
	ShtGroup       = 17
	ShtSymtabShndx = 18
)

// Section flags.
const (
	ShfWrite         = 0x1
	ShfAlloc         = 0x2
	ShfExecinstr     = 0x4
	ShfMerge         = 0x10
	ShfStrings       = 0x20
	ShfInfoLink      = 0x40
	ShfLinkOrder     = 0x80
	ShfGroup         = 0x200
	ShfTLS           = 0x400
	ShfCompressed    = 0x800
	ShfRelaLivepatch = 0x00100000
)

// Section indexes of symbols that are in no section.
const (
	ShnUndef     = 0
	ShnAbs       = 0xfff1
	ShnCommon    = 0xfff2
	ShnXindex    = 0xffff
	ShnLivepatch = 0xff20
)

// Bind is a symbol's binding.
type Bind uint8

// Bindings.
const (
	StbLocal  Bind = 0
	StbGlobal Bind = 1
	StbWeak   Bind = 2
)

// SymType is what a symbol stands for.
type SymType uint8

// Symbol types.
const (
	SttNotype  SymType = 0
	SttObject  SymType = 1
	SttFunc    SymType = 2
	SttSection SymType = 3
	SttFile    SymType = 4
	SttCommon  SymType = 5
	SttTLS     SymType = 6
)

// Visibilities, the low two bits of st_other.
const (
	StvDefault  = 0
	StvInternal = 1
	StvHidden   = 2
)
