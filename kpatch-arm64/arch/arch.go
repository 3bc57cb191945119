// Package arch says what the compiler must be told about an architecture, and
// nothing more: which bits a relocation fills, which instructions refer to
// other code without a relocation, and how the tables that the kernel keeps
// beside its code (exceptions, alternatives, jump labels …) are laid out.
// Everything else in kpatch-arm64 is the same everywhere.
package arch

// Arch is an architecture.
type Arch interface {
	// Name is the kernel's name of the architecture, as in ARCH=.
	Name() string
	// Machine is the ELF machine number, e_machine.
	Machine() uint16
	// Field describes what a relocation of a type does; ok is false for a type
	// that is not known.
	Field(relocType uint32) (f Field, ok bool)
	// Fixed lists the instructions of code that refer to another place in the
	// same section by their distance from it. Offsets are relative to code.
	Fixed(code []byte) []Fixed
	// Special describes the table kept in sections of a name, or returns nil
	// for a section that is no such table.
	Special(section string) *Special
	// Nop reports whether code is nothing but padding.
	Nop(code []byte) bool
	// Unit is what the offsets of instructions are multiples of, in bytes.
	Unit() int
	// Disasm returns the instruction at the start of code as text, in the
	// architecture's own syntax, and how many bytes it takes (at least 1).
	Disasm(code []byte, pc uint64) (text string, size int)
}

// Use is what a relocated field is for.
type Use uint8

const (
	// UseCall calls or jumps to the target: nothing keeps its address.
	UseCall Use = iota + 1
	// UseAddress makes the target's address, or part of it, in a register.
	UseAddress
	// UsePointer is the target's address in data, absolute or relative.
	UsePointer
)

// Field is the part of the contents that a relocation fills.
type Field struct {
	Name string // as the architecture's ABI names the type: R_AARCH64_CALL26
	Size int    // bytes that are read and written: 1, 2, 4 or 8
	Mask uint64 // the bits among them that are filled
	Use  Use
	// Bias is the distance from symbol+addend to the byte that is meant.
	Bias int64
	// Loads is false for a type that the kernel's module loader refuses.
	Loads bool
}

// Fixed is a reference that the assembler resolved by itself.
type Fixed struct {
	Off    uint64 // of the instruction
	Target int64  // of what it refers to
	// Type is the relocation that says the same, 0 if there is none.
	Type uint32
}

// Special describes a table whose entries belong to functions, one section per
// table.
type Special struct {
	Name string
	// Sizes are the entry sizes the table may have, in bytes, depending on the
	// kernel's configuration.
	Sizes []uint64
	// Owner is the offset in an entry of the field that points to the code
	// which the entry is about.
	Owner uint64
	// Replacement, if not nil, says where an entry keeps code of its own.
	Replacement *Replacement
	// Key is the offset of the field that points to a static key, or -1.
	Key int64
	// Site marks the table of patch sites, which an entry is not about but
	// belongs to the function as such.
	Site bool
}

// Replacement is a piece of code that an entry of a table brings along.
type Replacement struct {
	Off uint64 // offset in the entry of the field that points to it
	Len uint64 // offset in the entry of the byte that holds its length
}
