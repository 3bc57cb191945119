// Package elfw reads and writes relocatable ELF: 64-bit, little-endian, with
// RELA relocations.
//
// The standard library's debug/elf reads only, and hands out tables that point
// at each other by number. Here a file is a graph instead: a relocation holds
// the symbol it names, a symbol the section it lies in, a section the section
// it links to. Sections and symbols can therefore be added, dropped and
// reordered freely; numbers, string tables and offsets are worked out again
// when the file is written.
//
// A file that is read and written without a change comes out byte for byte the
// same if an assembler or linker made it: section offsets and positions in
// string tables are remembered as hints, and kept where they still fit.
//
// Read takes input from anywhere. It never panics, and what it allocates is
// bounded by a small multiple of the input's size: section contents are slices
// of the input, overlapping tables are refused, and nothing is sized by a
// number that only the file claims.
//
// The names of constants are those of the System V gABI, chapters "Object
// Files" (sections, symbols, relocations), and of the kernel's
// Documentation/livepatch/module-elf-format.rst.
package elfw
