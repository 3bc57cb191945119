package elfw

// File is a relocatable object, or a kernel module, which is one too. Read
// also takes linked files (vmlinux); those cannot be written back, since their
// program headers are not kept.
type File struct {
	Type    uint16 // ET_REL …
	Machine uint16
	Flags   uint32
	OSABI   uint8
	ABIVer  uint8
	Entry   uint64

	// Sections in the order of the section header table, without the null
	// section. The symbol table, its string table and the section name table
	// are among them, so that their places are kept.
	Sections []*Section
	// Symbols in the order of the symbol table, without the null symbol.
	Symbols []*Symbol

	shstrtab *Section
	symtab   *Section
	strtab   *Section
}

// Section is one section. Which of Data, Size, Relocs and Group matter depends
// on its type: a SHT_NOBITS section has a Size only, SHT_RELA is Relocs,
// SHT_GROUP is Group; everything else is Data.
type Section struct {
	Name    string
	Type    uint32
	Flags   uint64
	Addr    uint64
	Align   uint64
	EntSize uint64

	Data []byte
	Size uint64 // of SHT_NOBITS; elsewhere ignored

	// Link is the section sh_link names, if any. For tables that refer to the
	// symbol table it is set when the file is written.
	Link *Section
	// Target is the section that sh_info names: for relocations, what they
	// apply to, and wherever SHF_INFO_LINK is set.
	Target *Section
	// Info is sh_info where it is neither a section nor a symbol.
	Info uint32

	Relocs []Reloc
	Group  *Group

	offset   uint64 // where it was in the file it was read from
	nameHint uint32
}

// Len returns the section's size in memory, in bytes.
func (s *Section) Len() uint64 {
	switch s.Type {
	case ShtNobits:
		return s.Size
	case ShtRela:
		return uint64(len(s.Relocs)) * RelaSize
	}
	return uint64(len(s.Data))
}

// Is reports whether all of flags are set.
func (s *Section) Is(flags uint64) bool { return s.Flags&flags == flags }

// Group is the content of a section group.
type Group struct {
	Flags     uint32
	Signature *Symbol
	Members   []*Section
}

// Symbol is one entry of the symbol table.
type Symbol struct {
	Name string
	Bind Bind
	Type SymType
	// Other is st_other; its low two bits are the visibility.
	Other uint8
	// Section is where the symbol is defined. When it is nil, Shndx says what
	// the symbol is: ShnUndef, ShnAbs, ShnCommon or ShnLivepatch.
	Section *Section
	Shndx   uint16
	Value   uint64
	Size    uint64

	nameHint uint32
	index    uint32 // set while a file is written
}

// Undefined reports whether the symbol is defined elsewhere.
func (s *Symbol) Undefined() bool { return s.Section == nil && s.Shndx == ShnUndef }

// Visibility returns the symbol's STV_ value.
func (s *Symbol) Visibility() uint8 { return s.Other & 3 }

// Reloc is one entry of a SHT_RELA section.
type Reloc struct {
	Off    uint64 // in the target section
	Type   uint32 // R_<machine>_*
	Sym    *Symbol
	Addend int64
}

// Section returns the first section of a name, or nil.
func (f *File) Section(name string) *Section {
	for _, s := range f.Sections {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// RelocsOf returns the relocation sections that apply to target.
func (f *File) RelocsOf(target *Section) []*Section {
	var list []*Section
	for _, s := range f.Sections {
		if s.Type == ShtRela && s.Target == target {
			list = append(list, s)
		}
	}
	return list
}

// Symbol returns the first symbol of a name, or nil.
func (f *File) Symbol(name string) *Symbol {
	for _, s := range f.Symbols {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// New returns an empty relocatable file for a machine, with the tables that
// every file needs.
func New(machine uint16) *File {
	f := &File{Type: EtRel, Machine: machine}
	f.symtab = &Section{Name: ".symtab", Type: ShtSymtab, Align: 8, EntSize: SymSize}
	f.strtab = &Section{Name: ".strtab", Type: ShtStrtab, Align: 1}
	f.shstrtab = &Section{Name: ".shstrtab", Type: ShtStrtab, Align: 1}
	f.symtab.Link = f.strtab
	f.Sections = []*Section{f.symtab, f.strtab, f.shstrtab}
	return f
}

// AddSection adds a section before the symbol table of a file made by New, at
// the end of one that was read.
func (f *File) AddSection(s *Section) *Section {
	n := len(f.Sections)
	if n >= 3 && f.Sections[n-3] == f.symtab && f.Sections[n-1] == f.shstrtab {
		f.Sections = append(f.Sections[:n-3:n-3], append([]*Section{s}, f.Sections[n-3:]...)...)
		return s
	}
	f.Sections = append(f.Sections, s)
	return s
}

// AddSymbol adds a symbol.
func (f *File) AddSymbol(s *Symbol) *Symbol {
	f.Symbols = append(f.Symbols, s)
	return s
}

// Repack drops the strings that nothing uses any more. Without it a written
// file keeps the string tables it was read with, and adds to them.
func (f *File) Repack() {
	for _, t := range []*Section{f.strtab, f.shstrtab} {
		if t != nil {
			t.Data = nil
		}
	}
	for _, s := range f.Symbols {
		s.nameHint = 0
	}
	for _, s := range f.Sections {
		s.nameHint = 0
	}
}
