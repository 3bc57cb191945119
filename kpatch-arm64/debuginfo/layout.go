package debuginfo

import (
	"debug/dwarf"
	"fmt"
	"sort"
)

// Layout is how a struct or union lies in memory.
type Layout struct {
	Size    int64
	Members []Member
	// Users are the functions that have a parameter or variable of the type,
	// or a pointer to it.
	Users []string
}

// Member is a member of a struct. Bit is its offset in bits where it is a bit
// field, -1 elsewhere.
type Member struct {
	Name string
	Off  int64 // in bytes
	Bit  int64
}

// Layouts returns the layouts of all named structs and unions, as "struct x".
// A name that stands for several types is left out.
func (i *Info) Layouts() map[string]*Layout {
	l := layouts{types: map[dwarf.Offset]node{}, found: map[string]*Layout{}, twice: map[string]bool{}}
	if i == nil {
		return l.found
	}
	defer func() { _ = recover() }()
	l.read(i.data.Reader())
	l.addUsers()
	for n := range l.twice {
		delete(l.found, n)
	}
	return l.found
}

// node is what is kept of a type: what it points to or qualifies, or which
// struct it is.
type node struct {
	to     dwarf.Offset
	layout string
}

type layouts struct {
	types map[dwarf.Offset]node
	found map[string]*Layout
	twice map[string]bool
	uses  []use
}

// use is a parameter or variable of a function.
type use struct {
	function string
	typ      dwarf.Offset
}

func (l *layouts) read(r *dwarf.Reader) {
	var scopes []*dwarf.Entry
	for {
		e, err := r.Next()
		if err != nil || e == nil {
			return
		}
		if e.Tag == 0 {
			if len(scopes) > 0 {
				scopes = scopes[:len(scopes)-1]
			}
			continue
		}
		typ, _ := e.Val(dwarf.AttrType).(dwarf.Offset)
		switch e.Tag {
		case dwarf.TagStructType, dwarf.TagUnionType:
			l.begin(e)
		case dwarf.TagMember:
			if len(scopes) > 0 {
				l.member(scopes[len(scopes)-1], e)
			}
		case dwarf.TagPointerType, dwarf.TagTypedef, dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagArrayType:
			l.types[e.Offset] = node{to: typ}
		case dwarf.TagFormalParameter, dwarf.TagVariable:
			if fn := functionOf(scopes); fn != "" && typ != 0 {
				l.uses = append(l.uses, use{fn, typ})
			}
		}
		if e.Children {
			scopes = append(scopes, e)
		}
	}
}

func functionOf(scopes []*dwarf.Entry) string {
	for n := len(scopes) - 1; n >= 0; n-- {
		if scopes[n].Tag == dwarf.TagSubprogram {
			name, _ := scopes[n].Val(dwarf.AttrName).(string)
			return name
		}
	}
	return ""
}

func layoutName(e *dwarf.Entry) string {
	name, _ := e.Val(dwarf.AttrName).(string)
	if decl, _ := e.Val(dwarf.AttrDeclaration).(bool); decl || name == "" {
		return ""
	}
	if e.Tag == dwarf.TagUnionType {
		return "union " + name
	}
	return "struct " + name
}

func (l *layouts) begin(e *dwarf.Entry) {
	name := layoutName(e)
	if name == "" {
		return
	}
	l.types[e.Offset] = node{layout: name}
	if l.found[name] != nil {
		l.twice[name] = true
		return
	}
	size, _ := e.Val(dwarf.AttrByteSize).(int64)
	l.found[name] = &Layout{Size: size}
}

func (l *layouts) member(of, e *dwarf.Entry) {
	lay := l.found[layoutName(of)]
	if lay == nil {
		return
	}
	m := Member{Bit: -1}
	m.Name, _ = e.Val(dwarf.AttrName).(string)
	m.Off, _ = e.Val(dwarf.AttrDataMemberLoc).(int64)
	if bit, ok := e.Val(dwarf.AttrDataBitOffset).(int64); ok {
		m.Bit = bit
	}
	lay.Members = append(lay.Members, m)
}

func (l *layouts) addUsers() {
	seen := map[string]bool{}
	for _, u := range l.uses {
		t := u.typ
		for range 16 { // pointers to pointers to typedefs …
			n := l.types[t]
			if n.layout != "" {
				if lay := l.found[n.layout]; lay != nil && !seen[n.layout+" "+u.function] {
					seen[n.layout+" "+u.function] = true
					lay.Users = append(lay.Users, u.function)
				}
				break
			}
			if t = n.to; t == 0 {
				break
			}
		}
	}
	for _, lay := range l.found {
		sort.Strings(lay.Users)
	}
}

// Difference says in words how two layouts differ, or returns "".
func (l *Layout) Difference(now *Layout) string {
	for n, m := range l.Members {
		if n >= len(now.Members) {
			return fmt.Sprintf("member %s is gone", m.Name)
		}
		if k := now.Members[n]; k != m {
			if k.Name != m.Name {
				return fmt.Sprintf("member %s is where %s was", k.Name, m.Name)
			}
			return fmt.Sprintf("member %s moves from byte %d to %d", m.Name, m.Off, k.Off)
		}
	}
	if len(now.Members) > len(l.Members) {
		return fmt.Sprintf("member %s is new", now.Members[len(l.Members)].Name)
	}
	if now.Size != l.Size {
		return fmt.Sprintf("its size changes from %d to %d bytes", l.Size, now.Size)
	}
	return ""
}
