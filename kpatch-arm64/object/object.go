// Package object takes a compiled object apart into atoms: the functions and
// data that the source wrote, whatever sections the compiler put them in.
//
// An atom is a range of one section. A function is an atom, and so are a
// variable, a table of string literals, an unnamed constant, and a piece of
// replacement code that an alternative brings along. Every byte of the
// object's program is in at most one atom.
//
// A reference is what a relocation says, or what an instruction says that the
// assembler resolved by itself: at this offset of this atom, the address of
// that byte of that atom (or of a symbol defined elsewhere) is used. References
// name atoms, never positions, so two objects can be compared and a new one
// laid out without regard to where anything lies.
//
// The entries of the kernel's special tables (exceptions, alternatives, jump
// labels, bugs, patch sites) hang off the function they are about.
package object

import (
	"sort"

	"cloudkernel/kpatch-arm64/arch"
	"cloudkernel/kpatch-arm64/elfw"
)

// Kind is what an atom is.
type Kind uint8

// Kinds of atoms.
const (
	// Func is a function, or a part of one that the compiler split off.
	Func Kind = iota + 1
	// Data is a variable or constant with a name.
	Data
	// Anon is data or code without a name: a jump table, a constant of the
	// compiler's own.
	Anon
	// Pool is a section of mergeable strings or constants. What counts in it is
	// the content at an offset, not the offset.
	Pool
	// Repl is replacement code of an alternative outside any function.
	Repl
)

func (k Kind) String() string {
	return [...]string{"nothing", "function", "datum", "unnamed datum", "constant pool", "replacement code"}[k]
}

// Object is an object file taken apart.
type Object struct {
	File  *elfw.File
	Arch  arch.Arch
	Atoms []*Atom
	// Tables are the entries of special tables, those that are about no
	// function of the object included.
	Entries []*Entry

	bySection map[*elfw.Section][]*Atom // by start
	bySymbol  map[*elfw.Symbol]place
}

// place is a byte of an atom, counted from its start.
type place struct {
	atom *Atom
	off  int64
}

// Atom is a range of a section that belongs together.
type Atom struct {
	Kind Kind
	// Name is the symbol's, "" for one that has none. Where several symbols
	// name the same range, it is the first of Symbols.
	Name    string
	Symbols []*elfw.Symbol
	// Section holds the atom in [Start, End).
	Section    *elfw.Section
	Start, End uint64
	// Entry is the distance from Start to the symbol: functions may have a
	// patch site before it. Offsets in references are counted from the symbol.
	Entry uint64
	// Refs are the atom's references by offset.
	Refs []Ref
	// Entries are the special table entries about a function, in the order
	// their tables have.
	Entries []*Entry
	// Alone is set when nothing else is in the section.
	Alone bool
	// Parent is the function that this one was split off (f.cold of f).
	Parent *Atom
}

// Ref is one use of an address.
type Ref struct {
	Off    int64 // in the atom, counted from its symbol
	Type   uint32
	Target Target
	// Fixed is set when an instruction says it and no relocation does.
	Fixed bool
}

// Target is the byte that a reference means.
type Target struct {
	Atom *Atom
	// Sym is the symbol the relocation names; for a target outside the object,
	// where Atom is nil, it says all there is to know.
	Sym *elfw.Symbol
	// Off is counted from the atom's symbol, or from Sym. In a pool it is where
	// the string or constant begins, and Delta the distance from there to the
	// byte that is meant ("0123"[i-1] has the delta -1).
	Off, Delta int64
	// Exact is set when the relocation itself named the atom. Otherwise the
	// position in a section did, and an offset beyond the atom's neighbour
	// could have been meant.
	Exact bool
}

// Entry is one entry of a special table.
type Entry struct {
	Table   *arch.Special
	Section *elfw.Section
	Off     uint64 // in Section
	Data    []byte
	Refs    []Ref // offsets counted from the start of the entry
	// Owner is the function that the entry is about, At the place in it.
	Owner *Atom
	At    int64
	// Repl is the replacement code the entry brings, if it lies outside its
	// owner.
	Repl *Atom
}

// Bytes returns the atom's content; nil if it takes no space in the file.
func (a *Atom) Bytes() []byte {
	if a.Section.Type == elfw.ShtNobits {
		return nil
	}
	return a.Section.Data[a.Start:a.End]
}

// Size returns the number of bytes from Start to End.
func (a *Atom) Size() uint64 { return a.End - a.Start }

// Local reports whether the source did not give the atom's name to other
// objects.
func (a *Atom) Local() bool {
	for _, s := range a.Symbols {
		if !SymbolLocal(s) {
			return false
		}
	}
	return true
}

// Root returns the function an atom was split off from, or the atom itself.
func (a *Atom) Root() *Atom {
	for n := 0; a.Parent != nil && n < 8; n++ {
		a = a.Parent
	}
	return a
}

// SymbolLocal reports whether a symbol was local before Globalize: see there.
func SymbolLocal(s *elfw.Symbol) bool {
	return s.Bind == elfw.StbLocal || s.Visibility() == elfw.StvInternal
}

// Func returns the function of a name, or nil.
func (o *Object) Func(name string) *Atom { return o.find(Func, name) }

// Data returns the datum of a name, or nil.
func (o *Object) Data(name string) *Atom { return o.find(Data, name) }

func (o *Object) find(kind Kind, name string) *Atom {
	for _, a := range o.Atoms {
		if a.Kind != kind {
			continue
		}
		for _, s := range a.Symbols {
			if s.Name == name {
				return a
			}
		}
	}
	return nil
}

// Site returns the offset of a function's patch site from its symbol; ok is
// false for a function that has none, and therefore cannot be redirected.
func (a *Atom) Site() (off int64, ok bool) {
	for _, e := range a.Entries {
		if e.Table.Site {
			return e.At, true
		}
	}
	return 0, false
}

// RefsIn returns the references that lie in n bytes from start on, counted from
// the atom's symbol.
func (a *Atom) RefsIn(start int64, n int) []Ref {
	from := sort.Search(len(a.Refs), func(i int) bool { return a.Refs[i].Off >= start })
	to := sort.Search(len(a.Refs), func(i int) bool { return a.Refs[i].Off >= start+int64(n) })
	return a.Refs[from:to]
}

// Value returns the string or constant of a pool that holds an offset, and
// where in the pool it begins. Strings begin at the offset asked for. It is nil
// for an offset at which no whole value lies.
func (a *Atom) Value(off int64) (value []byte, start uint64) {
	b, size := a.Bytes(), a.Section.EntSize
	if off < 0 || uint64(off) >= uint64(len(b)) || size == 0 {
		return nil, 0
	}
	start = uint64(off)
	if !a.Section.Is(elfw.ShfStrings) {
		start -= start % size
		if uint64(len(b))-start < size {
			return nil, 0
		}
		return b[start : start+size], start
	}
	b = b[:min(uint64(len(b)), start+maxString)]
	for end := start; uint64(len(b))-end >= size; end += size {
		if zero(b[end : end+size]) {
			return b[start : end+size], start
		}
	}
	return nil, 0
}

// maxString is the longest string literal that is looked at, in bytes. Nothing
// real comes near.
const maxString = 1 << 16
