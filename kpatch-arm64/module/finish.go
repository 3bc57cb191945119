package module

import (
	"fmt"
	"strings"

	"cloudkernel/kpatch-arm64/elfw"
)

// Finish turns the module that the kernel's build linked into a livepatch
// module: relocations that only the livepatch core can apply get sections of
// their own, and the manifest is added.
func Finish(ko []byte, m *Manifest) ([]byte, error) {
	f, err := elfw.Read(ko)
	if err != nil {
		return nil, fmt.Errorf("read the linked module: %w", err)
	}
	if f.Type != elfw.EtRel {
		return nil, fmt.Errorf("the linked module is no relocatable file")
	}
	if err := dropAliases(f); err != nil {
		return nil, err
	}
	splitRelocs(f)
	note, err := m.Note()
	if err != nil {
		return nil, err
	}
	f.AddSection(&elfw.Section{Name: NoteSection, Type: elfw.ShtNote, Flags: elfw.ShfAlloc, Align: 4, Data: note})
	f.Repack()
	return f.Bytes()
}

// klpKey is a livepatch symbol as one relocation section uses it.
type klpKey struct{ owner, symbol string }

// splitRelocs moves relocations against travelling livepatch symbols to
// sections .klp.rela.OBJECT.SECTION (Documentation/livepatch/module-elf-format.rst).
func splitRelocs(f *elfw.File) {
	syms := map[klpKey]*elfw.Symbol{}
	owner := map[*elfw.Symbol]klpKey{}
	kept := f.Symbols[:0]
	for _, s := range f.Symbols {
		o, name, ok := cutKlp(s.Name)
		if !ok {
			kept = append(kept, s)
			continue
		}
		k := klpKey{o, name}
		owner[s] = k
		if syms[k] == nil {
			syms[k] = s
			s.Name, s.Section, s.Shndx, s.Value, s.Size = name, nil, elfw.ShnLivepatch, 0, 0
			kept = append(kept, s)
		}
	}
	f.Symbols = kept

	var sections []*elfw.Section
	for _, sec := range f.Sections {
		if sec.Type != elfw.ShtRela || sec.Target == nil {
			sections = append(sections, sec)
			continue
		}
		split := map[string]*elfw.Section{}
		var order []*elfw.Section
		plain := sec.Relocs[:0]
		for _, r := range sec.Relocs {
			k, ok := owner[r.Sym]
			if !ok {
				plain = append(plain, r)
				continue
			}
			s := split[k.owner]
			if s == nil {
				s = &elfw.Section{
					Name: ".klp.rela." + k.owner + "." + sec.Target.Name, Type: elfw.ShtRela, Target: sec.Target,
					Flags: elfw.ShfAlloc | elfw.ShfInfoLink | elfw.ShfRelaLivepatch, Align: 8, EntSize: elfw.RelaSize,
				}
				split[k.owner] = s
				order = append(order, s)
			}
			r.Sym = syms[k]
			s.Relocs = append(s.Relocs, r)
		}
		sec.Relocs = plain
		if len(plain) > 0 || len(order) == 0 {
			sections = append(sections, sec)
		}
		sections = append(sections, order...)
	}
	f.Sections = sections
}

// dropAliases makes what refers to a replacement by its alias refer to it by
// its own symbol, and removes the aliases: stack traces shall show the names
// of the source.
func dropAliases(f *elfw.File) error {
	type place struct {
		sec   *elfw.Section
		value uint64
	}
	isAlias := func(s *elfw.Symbol) bool {
		return strings.HasPrefix(s.Name, "hotpatch_new_") || strings.HasPrefix(s.Name, "hotpatch_call_")
	}
	real := map[place]*elfw.Symbol{}
	for _, s := range f.Symbols {
		if s.Type == elfw.SttFunc && s.Section != nil && !isAlias(s) {
			real[place{s.Section, s.Value}] = s
		}
	}
	renamed := map[*elfw.Symbol]*elfw.Symbol{}
	kept := make([]*elfw.Symbol, 0, len(f.Symbols))
	for _, s := range f.Symbols {
		if !isAlias(s) {
			kept = append(kept, s)
			continue
		}
		r := real[place{s.Section, s.Value}]
		if s.Section == nil || r == nil {
			return fmt.Errorf("the linked module lacks %s: it was not linked from the objects made for it", s.Name)
		}
		renamed[s] = r
	}
	f.Symbols = kept
	for _, sec := range f.Sections {
		for i, r := range sec.Relocs {
			if to := renamed[r.Sym]; to != nil {
				sec.Relocs[i].Sym = to
			}
		}
	}
	return nil
}
