package splat

import (
	"debug/dwarf"
	"path/filepath"
	"sort"
	"strings"
)

// place is a source line that an address stands for. An address in a function
// that was inlined stands for several, innermost first.
type place struct {
	function string
	file     string // relative to the kernel's source tree where it is in it
	line     int
}

// places returns the source lines of an address.
func (o *object) places(addr uint64) []place {
	i := sort.Search(len(o.units), func(i int) bool { return o.units[i].low > addr }) - 1
	if i < 0 || addr >= o.units[i].high {
		return nil
	}
	r := o.dwarf.Reader()
	r.Seek(o.units[i].entry)
	cu, err := r.Next()
	if err != nil || cu == nil {
		return nil
	}
	lines, err := o.dwarf.LineReader(cu)
	if err != nil || lines == nil {
		return nil
	}
	at, ok := seek(lines, addr)
	if !ok {
		return nil
	}
	root := sourceRoot(cu)
	// The path from the function down to the innermost inlined one.
	chain := o.chain(r, cu, addr)
	here := place{file: relative(root, at.File.Name), line: at.Line}
	if len(chain) == 0 {
		return []place{here} // assembler
	}
	files := lines.Files()
	var places []place
	for i := len(chain) - 1; i >= 0; i-- {
		here.function = o.name(chain[i])
		places = append(places, here)
		n, _ := chain[i].Val(dwarf.AttrCallFile).(int64)
		l, _ := chain[i].Val(dwarf.AttrCallLine).(int64)
		if i > 0 && n >= 0 && int(n) < len(files) && files[n] != nil {
			here = place{file: relative(root, files[n].Name), line: int(l)}
		}
	}
	return places
}

// seek returns the line entry of addr. LineReader.SeekPC would do, if only the
// sequences of a table were in the order of their addresses: with functions in
// several sections they are not.
func seek(lines *dwarf.LineReader, addr uint64) (dwarf.LineEntry, bool) {
	var prev, next dwarf.LineEntry
	for open := false; lines.Next(&next) == nil; open, prev = !next.EndSequence, next {
		if open && prev.Address <= addr && addr < next.Address {
			return prev, prev.File != nil
		}
	}
	return dwarf.LineEntry{}, false
}

// chain returns the entries of the function around addr and of what was
// inlined there, outermost first. r stands behind the unit's entry.
func (o *object) chain(r *dwarf.Reader, cu *dwarf.Entry, addr uint64) []*dwarf.Entry {
	var chain []*dwarf.Entry
	if !cu.Children {
		return nil
	}
	for depth := 1; depth > 0; {
		e, err := r.Next()
		if err != nil || e == nil {
			return chain
		}
		if e.Tag == 0 {
			depth--
			if len(chain) > 0 {
				return chain // the innermost entry around addr has no more children
			}
			continue
		}
		inside := false
		switch e.Tag {
		case dwarf.TagSubprogram, dwarf.TagInlinedSubroutine, dwarf.TagLexDwarfBlock:
			ranges, err := o.dwarf.Ranges(e)
			if err == nil {
				for _, rg := range ranges {
					inside = inside || (rg[0] <= addr && addr < rg[1])
				}
			}
		}
		if !inside {
			if e.Children {
				r.SkipChildren()
			}
			continue
		}
		if e.Tag != dwarf.TagLexDwarfBlock {
			chain = append(chain, e)
		}
		if !e.Children {
			return chain
		}
		depth++
	}
	return chain
}

// name returns the name of a function's entry, which may only refer to the one
// that has it.
func (o *object) name(e *dwarf.Entry) string {
	for range 4 {
		if name, ok := e.Val(dwarf.AttrName).(string); ok {
			return name
		}
		ref, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			if ref, ok = e.Val(dwarf.AttrSpecification).(dwarf.Offset); !ok {
				return ""
			}
		}
		r := o.dwarf.Reader()
		r.Seek(ref)
		next, err := r.Next()
		if err != nil || next == nil {
			return ""
		}
		e = next
	}
	return ""
}

// sourceRoot returns the top of the source tree a unit was compiled in: where
// its name leads up to, from the directory the compiler ran in.
func sourceRoot(cu *dwarf.Entry) string {
	name, _ := cu.Val(dwarf.AttrName).(string)
	dir, _ := cu.Val(dwarf.AttrCompDir).(string)
	for strings.HasPrefix(name, "../") {
		name, dir = name[3:], filepath.Dir(dir)
	}
	return dir
}

func relative(root, file string) string {
	file = filepath.Clean(file)
	if rest, ok := strings.CutPrefix(file, root+"/"); ok {
		return rest
	}
	return rootRE.ReplaceAllString(file, "")
}
