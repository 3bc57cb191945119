package splat

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Decoder turns symbol+offset/size into file:line for one kernel build. It
// reads the symbols, not addresses, so that KASLR does not matter.
type Decoder struct {
	vmlinux string
	module  func(name string) string
	source  func(file string) ([]byte, error)

	mu      sync.Mutex
	objects map[string]*object // by path; nil if it cannot be read
	cache   map[string][]place
	err     error
}

// NewDecoder returns a decoder that reads vmlinux (an ELF file with DWARF) when
// it first needs to. module, if not nil, returns the file of a module with its
// debug information, or "". source, if not nil, returns the contents of a file
// of the kernel's source, which are then shown beside the line at fault.
func NewDecoder(vmlinux string, module func(name string) string, source func(file string) ([]byte, error)) *Decoder {
	return &Decoder{vmlinux: vmlinux, module: module, source: source, objects: map[string]*object{}, cache: map[string][]place{}}
}

// Decode returns the lines of s with the source line behind every symbol, and
// inlined functions on lines of their own. The error says why symbols stayed
// bare, if they did; the text is complete in any case.
func (d *Decoder) Decode(s *Splat) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = nil
	var b strings.Builder
	counter := ""       // the symbol the program counter is at
	shown := false      // the source line at fault
	fault := faultOf(s) // its function
	for _, raw := range s.Text {
		text, _, _ := strip(raw)
		at := symbolRE.FindStringSubmatchIndex(text)
		if at == nil {
			b.WriteString(text + "\n")
			continue
		}
		symbol := text[at[0]:at[1]]
		if counterRE.MatchString(text) || strings.HasPrefix(text, "WARNING: CPU:") {
			counter = symbol
		}
		places := d.lookup(text, at, symbol == counter)
		if len(places) == 0 {
			b.WriteString(text + "\n")
			continue
		}
		// Inlined functions above the one that has the symbol, as they are called.
		indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
		for _, p := range places[:len(places)-1] {
			fmt.Fprintf(&b, "%s%s (%s:%d) [inlined]\n", indent, p.function, p.file, p.line)
		}
		last := places[len(places)-1]
		fmt.Fprintf(&b, "%s (%s:%d)%s\n", text[:at[1]], last.file, last.line, text[at[1]:])
		if !shown && fault != "" && plain(text[at[2]:at[3]]) == fault {
			shown = d.context(&b, places[0])
		}
	}
	return strings.TrimSuffix(b.String(), "\n"), d.err
}

// faultOf returns the function that the title blames.
func faultOf(s *Splat) string {
	_, f, ok := strings.Cut(s.Title, " in ")
	if !ok {
		return ""
	}
	f, _, _ = strings.Cut(f, " ")
	return f
}

// lookup returns the source lines of the symbol at the given place of text.
// exact says that its offset is the program counter's; otherwise it is a
// return address, and the call is the instruction before it.
func (d *Decoder) lookup(text string, at []int, exact bool) []place {
	key := fmt.Sprint(text[at[0]:at[1]], exact)
	if places, ok := d.cache[key]; ok {
		return places
	}
	name := text[at[2]:at[3]]
	offset, _ := strconv.ParseUint(text[at[4]:at[5]], 16, 64)
	size, _ := strconv.ParseUint(text[at[6]:at[7]], 16, 64)
	path := d.vmlinux
	if at[8] >= 0 {
		path = ""
		if d.module != nil {
			path = d.module(text[at[8]:at[9]])
		}
	}
	var places []place
	if o := d.object(path); o != nil {
		if addr, ok := o.find(name, offset, size); ok {
			if !exact && offset > 0 {
				addr--
			}
			places = o.places(addr)
		}
	}
	d.cache[key] = places
	return places
}

// object returns the opened file, or nil.
func (d *Decoder) object(path string) *object {
	if path == "" {
		return nil
	}
	o, ok := d.objects[path]
	if !ok {
		var err error
		if o, err = openObject(path); err != nil {
			d.err = fmt.Errorf("decode symbols: %w", err)
		}
		d.objects[path] = o
	}
	return o
}

// context writes the source line at fault below its frame.
func (d *Decoder) context(b *strings.Builder, p place) bool {
	if d.source == nil {
		return false
	}
	data, err := d.source(p.file)
	if err != nil {
		return false
	}
	lines := strings.Split(string(data), "\n")
	if p.line < 1 || p.line > len(lines) {
		return false
	}
	for n := max(p.line-1, 1); n <= min(p.line+1, len(lines)); n++ {
		mark := " "
		if n == p.line {
			mark = ">"
		}
		fmt.Fprintf(b, "  %s %5d | %s\n", mark, n, strings.ReplaceAll(lines[n-1], "\t", "        "))
	}
	return true
}

// Close unmaps the files.
func (d *Decoder) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, o := range d.objects {
		if o != nil {
			o.close()
		}
		delete(d.objects, path)
	}
}
