package splat

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// object is vmlinux or a module: its functions, and its debug information in
// one address space.
type object struct {
	mem     []byte // the file, mapped
	dwarf   *dwarf.Data
	symbols map[string][]symbol
	units   []unit // sorted by low
}

// symbol is a place in the object that has a name.
type symbol struct {
	addr uint64
	size uint64 // by the ELF symbol table
	next uint64 // distance to the next symbol, which is what kallsyms takes for the size
}

// unit is an address range of a compilation unit.
type unit struct {
	low, high uint64
	entry     dwarf.Offset
}

// openObject reads an ELF file with DWARF. A relocatable one (a module) is
// laid out first: its sections one after the other, as they all start at 0.
func openObject(path string) (*object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	o := &object{mem: mem}
	if err := o.load(path); err != nil {
		o.close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return o, nil
}

func (o *object) close() { _ = unix.Munmap(o.mem) }

func (o *object) load(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	base := layout(file)
	if err := o.loadSymbols(file, base); err != nil {
		return err
	}
	sections, err := o.debugSections(file, base)
	if err != nil {
		return err
	}
	d, err := dwarf.New(sections["abbrev"], nil, nil, sections["info"], sections["line"], nil, nil, sections["str"])
	if err != nil {
		return err
	}
	for _, name := range []string{"addr", "line_str", "str_offsets", "rnglists", "loclists", "ranges"} {
		if len(sections[name]) > 0 {
			if err := d.AddSection(".debug_"+name, sections[name]); err != nil {
				return err
			}
		}
	}
	o.dwarf = d
	return o.loadUnits()
}

// layout gives each loaded section of a relocatable file an address of its
// own; sections of other files have theirs.
func layout(f *elf.File) map[elf.SectionIndex]uint64 {
	base := map[elf.SectionIndex]uint64{}
	if f.Type != elf.ET_REL {
		return base
	}
	at := uint64(0x1000)
	for i, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 {
			base[elf.SectionIndex(i)] = at
			at += (s.Size + 0xfff) &^ 0xfff
		}
	}
	return base
}

func (o *object) loadSymbols(f *elf.File, base map[elf.SectionIndex]uint64) error {
	all, err := f.Symbols()
	if err != nil {
		return err
	}
	type named struct {
		name string
		symbol
	}
	var list []named
	for _, s := range all {
		code := int(s.Section) < len(f.Sections) && f.Sections[s.Section].Flags&elf.SHF_EXECINSTR != 0
		if !code || s.Name == "" || strings.HasPrefix(s.Name, "$") || elf.ST_TYPE(s.Info) == elf.STT_SECTION {
			continue
		}
		list = append(list, named{s.Name, symbol{addr: s.Value + base[s.Section], size: s.Size}})
	}
	slices.SortStableFunc(list, func(a, b named) int {
		switch {
		case a.addr < b.addr:
			return -1
		case a.addr > b.addr:
			return 1
		}
		return 0
	})
	o.symbols = make(map[string][]symbol, len(list))
	next := uint64(0)
	for i := len(list) - 1; i >= 0; i-- {
		if i+1 < len(list) && list[i+1].addr != list[i].addr {
			next = list[i+1].addr
		}
		if next > list[i].addr {
			list[i].next = next - list[i].addr
		}
		o.symbols[list[i].name] = append(o.symbols[list[i].name], list[i].symbol)
	}
	return nil
}

// debugSections returns the .debug_* sections by the rest of their names,
// relocated if the file is relocatable.
func (o *object) debugSections(f *elf.File, base map[elf.SectionIndex]uint64) (map[string][]byte, error) {
	sections := map[string][]byte{}
	for _, s := range f.Sections {
		name, ok := strings.CutPrefix(s.Name, ".debug_")
		if !ok || s.Type == elf.SHT_NOBITS {
			continue
		}
		end := s.Offset + s.FileSize
		if s.Flags&elf.SHF_COMPRESSED == 0 && end <= uint64(len(o.mem)) {
			sections[name] = o.mem[s.Offset:end:end]
			continue
		}
		data, err := s.Data()
		if err != nil {
			return nil, err
		}
		sections[name] = data
	}
	if len(sections["info"]) == 0 {
		return nil, fmt.Errorf("no debug information; build with CONFIG_DEBUG_INFO_DWARF5=y")
	}
	if f.Type != elf.ET_REL {
		return sections, nil
	}
	syms, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	for _, s := range f.Sections {
		name, ok := strings.CutPrefix(s.Name, ".rela.debug_")
		if !ok || len(sections[name]) == 0 {
			continue
		}
		rela, err := s.Data()
		if err != nil {
			return nil, err
		}
		sections[name] = slices.Clone(sections[name])
		relocate(f, sections[name], rela, syms, base)
	}
	return sections, nil
}

// relocate applies the absolute relocations that debug sections have: the
// address of a symbol, in 4 or 8 bytes.
func relocate(f *elf.File, data, rela []byte, syms []elf.Symbol, base map[elf.SectionIndex]uint64) {
	for ; len(rela) >= 24; rela = rela[24:] {
		off, info := f.ByteOrder.Uint64(rela), f.ByteOrder.Uint64(rela[8:])
		index, kind := info>>32, uint32(info)
		if index == 0 || index > uint64(len(syms)) {
			continue
		}
		sym := syms[index-1]
		value := sym.Value + base[sym.Section] + f.ByteOrder.Uint64(rela[16:])
		size := 0
		switch {
		case f.Machine == elf.EM_X86_64 && elf.R_X86_64(kind) == elf.R_X86_64_64,
			f.Machine == elf.EM_AARCH64 && elf.R_AARCH64(kind) == elf.R_AARCH64_ABS64:
			size = 8
		case f.Machine == elf.EM_X86_64 && elf.R_X86_64(kind) == elf.R_X86_64_32,
			f.Machine == elf.EM_AARCH64 && elf.R_AARCH64(kind) == elf.R_AARCH64_ABS32:
			size = 4
		}
		if size == 0 || off > uint64(len(data)) || uint64(len(data))-off < uint64(size) {
			continue
		}
		put(f.ByteOrder, data[off:], size, value)
	}
}

func put(order binary.ByteOrder, data []byte, size int, value uint64) {
	if size == 8 {
		order.PutUint64(data, value)
		return
	}
	order.PutUint32(data, uint32(value))
}

// loadUnits notes which compilation unit covers which addresses.
func (o *object) loadUnits() error {
	r := o.dwarf.Reader()
	for {
		e, err := r.Next()
		if err != nil {
			return err
		}
		if e == nil {
			break
		}
		r.SkipChildren()
		if e.Tag != dwarf.TagCompileUnit {
			continue
		}
		ranges, err := o.dwarf.Ranges(e)
		if err != nil {
			return err
		}
		for _, rg := range ranges {
			if rg[0] < rg[1] {
				o.units = append(o.units, unit{rg[0], rg[1], e.Offset})
			}
		}
	}
	slices.SortFunc(o.units, func(a, b unit) int {
		if a.low < b.low {
			return -1
		}
		return 1
	})
	return nil
}

// find returns the address of name+offset. size, as the kernel printed it,
// tells functions of one name apart.
func (o *object) find(name string, offset, size uint64) (uint64, bool) {
	list := o.symbols[name]
	for _, s := range list {
		if s.size == size || s.next == size {
			return s.addr + offset, offset <= size
		}
	}
	if len(list) == 1 && (list[0].next == 0 || offset <= list[0].next) {
		return list[0].addr + offset, true
	}
	return 0, false
}
