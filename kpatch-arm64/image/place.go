package image

import (
	"errors"
	"fmt"
	"sort"

	"cloudkernel/kpatch-arm64/elfw"
)

// ErrAbsent is wrapped by the error for an object that was not linked into the
// image.
var ErrAbsent = errors.New("the object is not part of the image")

// Placement is where an object's sections are in an image.
type Placement struct {
	im   *Image
	base map[*elfw.Section]uint64
	syms map[string]*elfw.Symbol
	why  map[*elfw.Section]error // why a section could not be placed
}

// Place finds out where an object was linked to. The object must be the one
// that the image was linked from, not a recompilation of it.
func (im *Image) Place(obj *elfw.File) (*Placement, error) {
	p := &Placement{im: im, base: map[*elfw.Section]uint64{}, syms: map[string]*elfw.Symbol{}, why: map[*elfw.Section]error{}}
	bySection := map[*elfw.Section][]*elfw.Symbol{}
	var order []*elfw.Section
	for _, s := range obj.Symbols {
		if s.Section == nil || !s.Section.Is(elfw.ShfAlloc) || !listed(s) {
			continue
		}
		p.syms[s.Name] = s
		if bySection[s.Section] == nil {
			order = append(order, s.Section)
		}
		bySection[s.Section] = append(bySection[s.Section], s)
	}
	// What is easy to place tells which part of the symbol table the object's
	// symbols are in, and that helps with the rest.
	var hard []*elfw.Section
	files := map[int]int{}
	for _, sec := range order {
		bases := p.candidates(bySection[sec], nil)
		if len(bases) != 1 {
			hard = append(hard, sec)
			continue
		}
		p.base[sec] = bases[0].addr
		if bases[0].file > 0 {
			files[bases[0].file]++
		}
	}
	file, most := im.part(obj), 0
	for f, n := range files {
		if n > most {
			file, most = f, n
		}
	}
	for _, sec := range hard {
		bases := p.candidates(bySection[sec], func(f int) bool { return file == 0 || f == 0 || f == file })
		switch {
		case len(bases) == 1:
			p.base[sec] = bases[0].addr
		case len(bases) == 0:
			p.why[sec] = im.errf("the symbols of section %s are not there as the object has them", sec.Name)
		default:
			p.why[sec] = im.errf("the symbols of section %s fit in %d places", sec.Name, len(bases))
		}
	}
	if len(order) > 0 && len(p.base) == 0 {
		return nil, fmt.Errorf("%s: %w", im.Name, ErrAbsent)
	}
	return p, nil
}

// part returns the number of the only part of the symbol table that has the
// object's file name and local symbols, or 0.
func (im *Image) part(obj *elfw.File) int {
	name, locals := "", map[string]int{}
	for _, s := range obj.Symbols {
		if s.Type == elfw.SttFile && name == "" {
			name = s.Name
		}
		if s.Section != nil && s.Bind == elfw.StbLocal && s.Section.Is(elfw.ShfAlloc) && listed(s) {
			locals[s.Name]++
		}
	}
	found := 0
	for i, f := range im.files {
		if f.name != name || name == "" {
			continue
		}
		same := true
		for n, k := range f.locals {
			same = same && locals[n] >= k // some of the object's were discarded
		}
		if same && len(f.locals) > 0 {
			if found != 0 {
				return 0
			}
			found = i
		}
	}
	return found
}

// candidate is an address that a section may have; file is the part of the
// symbol table that its local symbols were found in, 0 if it has none.
type candidate struct {
	addr uint64
	file int
}

// candidates returns the addresses at which all of a section's symbols are
// found. ok, if not nil, says which parts of the symbol table local symbols may
// be in.
func (p *Placement) candidates(syms []*elfw.Symbol, ok func(file int) bool) []candidate {
	// Start from the symbol with the fewest namesakes.
	syms = append([]*elfw.Symbol(nil), syms...)
	sort.SliceStable(syms, func(i, j int) bool { return len(p.im.syms[syms[i].Name]) < len(p.im.syms[syms[j].Name]) })
	first := -1
	for i, s := range syms {
		// A weak symbol may have lost against another object's.
		if s.Bind != elfw.StbWeak {
			first = i
			break
		}
	}
	if first < 0 {
		first = 0
	}
	var list []candidate
	tried := map[uint64]bool{} // things without a size share addresses
	for _, at := range p.im.syms[syms[first].Name] {
		base := at.addr - syms[first].Value
		if tried[base] {
			continue
		}
		tried[base] = true
		c := candidate{addr: base}
		if fits, file := p.fits(syms, base, ok); fits {
			c.file = file
			list = append(list, c)
		}
	}
	return list
}

// fits reports whether all symbols of a section are found when it is at base.
func (p *Placement) fits(syms []*elfw.Symbol, base uint64, ok func(file int) bool) (bool, int) {
	file, found := 0, false
	for _, s := range syms {
		here := false
		for _, at := range p.im.syms[s.Name] {
			if at.addr != base+s.Value || at.size != s.Size {
				continue
			}
			if s.Bind == elfw.StbLocal {
				if at.global || file != 0 && at.file != file || ok != nil && !ok(at.file) {
					continue
				}
				file = at.file
			}
			here = true
			break
		}
		if !here && s.Bind != elfw.StbWeak {
			return false, 0
		}
		found = found || here
	}
	return found, file
}

// ErrOverridden says that an object's symbol is weak, and another object's
// definition was used.
var ErrOverridden = errors.New("it is weak, and another object's definition was used")

// Symbol describes the image's symbol that the object's symbol of a name
// became.
func (p *Placement) Symbol(name string) (Symbol, error) {
	s := p.syms[name]
	if s == nil {
		return Symbol{}, p.im.errf("the object that the kernel was linked from has no symbol %s", name)
	}
	base, ok := p.base[s.Section]
	if !ok {
		if err := p.why[s.Section]; err != nil {
			return Symbol{}, fmt.Errorf("find %s: %w", name, err)
		}
		return Symbol{}, p.im.errf("symbol %s cannot be found", name)
	}
	for _, at := range p.im.syms[name] {
		if at.addr == base+s.Value {
			return p.im.symbol(name, at), nil
		}
	}
	if s.Bind == elfw.StbWeak {
		return Symbol{}, fmt.Errorf("%w: %s", ErrOverridden, name)
	}
	return Symbol{}, p.im.errf("symbol %s is not where its object was linked to", name)
}
