package debuginfo

import (
	"debug/dwarf"
	"encoding/binary"
	"strconv"
	"strings"

	"cloudkernel/kpatch-arm64/elfw"
)

// Place is a byte of a section.
type Place struct {
	Section *elfw.Section
	Off     uint64
}

const opAddr = 0x03 // DW_OP_addr

// Locals returns where each static variable of a function was declared, by
// where the variable lies: a text that names function, file, line and column,
// and is the same for the same declaration in another version of the source as
// long as its line number was kept.
func (i *Info) Locals() (decls map[Place]string) {
	decls = map[Place]string{}
	if i == nil {
		return decls
	}
	defer func() { _ = recover() }()
	sections := map[uint64]*elfw.Section{}
	for s, b := range i.base {
		sections[b>>sectionShift] = s
	}
	r := i.data.Reader()
	var files []*dwarf.LineFile
	var dir string
	var funcs []string // the functions being read, innermost last; "" for other scopes
	declared := map[dwarf.Offset]string{}
	located := map[dwarf.Offset]Place{}
	for {
		e, err := r.Next()
		if err != nil || e == nil {
			break
		}
		if e.Tag == 0 {
			if len(funcs) > 0 {
				funcs = funcs[:len(funcs)-1]
			}
			continue
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		switch e.Tag {
		case dwarf.TagCompileUnit:
			dir = compDir(e)
			if lr, err := i.data.LineReader(e); err == nil && lr != nil {
				files = lr.Files()
			}
		case dwarf.TagVariable:
			decl := ""
			if fn := innermost(funcs); fn != "" && name != "" {
				decl = fn + " " + name + " " + strings.TrimPrefix(declText(e, files), dir)
				declared[e.Offset] = decl
			}
			loc, _ := e.Val(dwarf.AttrLocation).([]byte)
			if len(loc) != 9 || loc[0] != opAddr {
				break
			}
			addr := binary.LittleEndian.Uint64(loc[1:])
			s := sections[addr>>sectionShift]
			if s == nil {
				break
			}
			at := Place{s, addr & (1<<sectionShift - 1)}
			if decl != "" {
				decls[at] = decl
			} else if origin, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok {
				located[origin] = at
			} else if spec, ok := e.Val(dwarf.AttrSpecification).(dwarf.Offset); ok {
				located[spec] = at
			}
		}
		if e.Children {
			fn := ""
			if e.Tag == dwarf.TagSubprogram {
				fn = name
			}
			funcs = append(funcs, fn)
		}
	}
	// A variable of an inlined function is declared once, and placed wherever
	// the function was used.
	for origin, at := range located {
		if decl := declared[origin]; decl != "" {
			decls[at] = decl
		}
	}
	return decls
}

func innermost(funcs []string) string {
	for n := len(funcs) - 1; n >= 0; n-- {
		if funcs[n] != "" {
			return funcs[n]
		}
	}
	return ""
}

func declText(e *dwarf.Entry, files []*dwarf.LineFile) string {
	text := ""
	if n, ok := e.Val(dwarf.AttrDeclFile).(int64); ok && n >= 0 && int(n) < len(files) && files[n] != nil {
		text = files[n].Name
	}
	for _, a := range []dwarf.Attr{dwarf.AttrDeclLine, dwarf.AttrDeclColumn} {
		n, _ := e.Val(a).(int64)
		text += ":" + strconv.FormatInt(n, 10)
	}
	return text
}
