package elfw_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/internal/cctest"
)

const sample = `
extern int printk(const char *fmt, ...);
extern int other(int);
static int count;
int table[4] = { 1, 2, 3, 4 };
static const char *const names[] = { "one", "two" };
__attribute__((noinline)) static int helper(int x) { return other(x) + count++; }
int entry(int x) { printk("hello %s\n", names[x & 1]); return helper(x) * table[x & 3]; }
__attribute__((section(".init.text"))) int starter(void) { return entry(1); }
`

func TestRoundTripIsByteFaithful(t *testing.T) {
	for _, l := range cctest.Layouts {
		t.Run(l.Name, func(t *testing.T) {
			obj := cctest.Compile(t, "sample.c", sample, l)
			for name, data := range map[string][]byte{
				"object":   obj,
				"relinked": cctest.Link(t, [][]byte{obj}, "-r"),
			} {
				f, err := elfw.Read(data)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				out, err := f.Bytes()
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if !bytes.Equal(out, data) {
					t.Errorf("%s: %d bytes in, %d different bytes out", name, len(data), len(out))
				}
			}
		})
	}
}

func TestGroupsSurvive(t *testing.T) {
	data := cctest.Compile(t, "group.c", `
asm(".section .text.grouped,\"axG\",@progbits,sig,comdat\n.globl sig\nsig: ret\n.previous");
int f(void) { return 1; }
`, cctest.Layouts[0])
	f, err := elfw.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	var group *elfw.Section
	for _, s := range f.Sections {
		if s.Group != nil {
			group = s
		}
	}
	if group == nil || group.Group.Signature.Name != "sig" || len(group.Group.Members) != 1 ||
		group.Group.Members[0].Name != ".text.grouped" {
		t.Fatalf("group read as %+v", group)
	}
	if out, err := f.Bytes(); err != nil || !bytes.Equal(out, data) {
		t.Errorf("the group did not survive: %v", err)
	}
}

// What we build from nothing must be what other tools read.
func TestNewFile(t *testing.T) {
	f := elfw.New(elfw.EmAArch64)
	text := f.AddSection(&elfw.Section{
		Name: ".text", Type: elfw.ShtProgbits, Flags: elfw.ShfAlloc | elfw.ShfExecinstr, Align: 8,
		Data: []byte{0, 0, 0, 0x94, 0xc0, 3, 0x5f, 0xd6},
	})
	bss := f.AddSection(&elfw.Section{Name: ".bss", Type: elfw.ShtNobits, Flags: elfw.ShfAlloc | elfw.ShfWrite, Align: 4, Size: 12})
	ext := f.AddSymbol(&elfw.Symbol{Name: "printk", Bind: elfw.StbGlobal})
	f.AddSymbol(&elfw.Symbol{Name: "fn", Bind: elfw.StbLocal, Type: elfw.SttFunc, Section: text, Size: 8})
	f.AddSymbol(&elfw.Symbol{Name: ".klp.sym.vmlinux.x,1", Bind: elfw.StbLocal, Shndx: elfw.ShnLivepatch})
	f.AddSymbol(&elfw.Symbol{Name: "var", Bind: elfw.StbGlobal, Type: elfw.SttObject, Section: bss, Value: 8, Size: 4})
	f.AddSection(&elfw.Section{
		Name: ".rela.text", Type: elfw.ShtRela, Flags: elfw.ShfInfoLink, Align: 8, EntSize: elfw.RelaSize, Target: text,
		Relocs: []elfw.Reloc{{Off: 0, Type: 283, Sym: ext, Addend: 4}},
	})
	data, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}

	std, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	syms, err := std.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range syms {
		got = append(got, fmt.Sprintf("%s@%#x", s.Name, uint16(s.Section)))
	}
	want := "fn@0x1 .klp.sym.vmlinux.x,1@0xff20 printk@0x0 var@0x2"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("symbols %q, want %q", s, want)
	}
	if s := std.Section(".symtab"); s.Info != 3 {
		t.Errorf("the first global symbol is said to be %d, it is 3", s.Info)
	}
	rela, err := std.Section(".rela.text").Data()
	if err != nil {
		t.Fatal(err)
	}
	if n := binary.LittleEndian.Uint64(rela[8:]); n != 3<<32|283 {
		t.Errorf("relocation info %#x", n)
	}
	if std.Section(".bss").Size != 12 {
		t.Errorf(".bss has %d bytes", std.Section(".bss").Size)
	}
	again, err := elfw.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := again.Bytes(); !bytes.Equal(out, data) {
		t.Error("our own file does not survive a round trip")
	}
}

func TestEditedFileKeepsTheRest(t *testing.T) {
	data := cctest.Compile(t, "sample.c", sample, cctest.Layouts[0])
	f, err := elfw.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	added := f.AddSection(&elfw.Section{Name: ".note.added", Type: elfw.ShtNote, Align: 4, Data: []byte("12345678")})
	f.AddSymbol(&elfw.Symbol{Name: "a_local_one", Section: added})
	out, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	g, err := elfw.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	s := g.Symbol("a_local_one")
	if s == nil || s.Section == nil || string(s.Section.Data) != "12345678" {
		t.Fatalf("the added symbol reads as %+v", s)
	}
	for i, old := range f.Sections {
		if old.Type == elfw.ShtStrtab || old.Type == elfw.ShtSymtab {
			continue
		}
		if now := g.Sections[i]; now.Name != old.Name || now.Len() != old.Len() || len(now.Relocs) != len(old.Relocs) {
			t.Errorf("section %s changed", old.Name)
			continue
		}
		for k, r := range old.Relocs {
			n := g.Sections[i].Relocs[k]
			if n.Off != r.Off || n.Type != r.Type || n.Addend != r.Addend || n.Sym.Name != r.Sym.Name {
				t.Errorf("%s: relocation %d changed from %+v to %+v", old.Name, k, r, n)
			}
		}
	}
}

func TestWriteRefusesDanglingReferences(t *testing.T) {
	gone := &elfw.Section{Name: ".gone"}
	for name, mutate := range map[string]func(*elfw.File){
		"symbol in a dropped section": func(f *elfw.File) { f.AddSymbol(&elfw.Symbol{Name: "x", Section: gone}) },
		"relocation of a dropped one": func(f *elfw.File) { f.AddSection(&elfw.Section{Type: elfw.ShtRela, Target: gone}) },
		"link to a dropped section":   func(f *elfw.File) { f.AddSection(&elfw.Section{Type: elfw.ShtProgbits, Link: gone}) },
		"relocation to an alien symbol": func(f *elfw.File) {
			f.AddSection(&elfw.Section{Type: elfw.ShtRela, Relocs: []elfw.Reloc{{Sym: &elfw.Symbol{Name: "y"}}}})
		},
		"linked file": func(f *elfw.File) { f.Type = elfw.EtExec },
	} {
		f := elfw.New(elfw.EmAArch64)
		mutate(f)
		if _, err := f.Bytes(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	good := cctest.Compile(t, "sample.c", sample, cctest.Layouts[0])
	shoff := binary.LittleEndian.Uint64(good[40:])
	cases := []struct {
		name, want string
		mutate     func(b []byte) []byte
	}{
		{"nothing", "does not begin", func(b []byte) []byte { return nil }},
		{"text", "does not begin", func(b []byte) []byte { return bytes.Repeat([]byte("hello\n"), 40) }},
		{"32-bit", "not 64-bit", func(b []byte) []byte { b[4] = 1; return b }},
		{"big-endian", "not little-endian", func(b []byte) []byte { b[5] = 2; return b }},
		{"truncated", "truncated", func(b []byte) []byte { return b[:len(b)-1] }},
		{"half", "truncated", func(b []byte) []byte { return b[:len(b)/2] }},
		{"headers far away", "truncated", func(b []byte) []byte { binary.LittleEndian.PutUint64(b[40:], 1<<63); return b }},
		{"no sections", "sections", func(b []byte) []byte { binary.LittleEndian.PutUint16(b[60:], 0); return b }},
		{"bad name table", "no table of section names", func(b []byte) []byte { binary.LittleEndian.PutUint16(b[62:], 0x7fff); return b }},
		{"overlap", "overlap", func(b []byte) []byte {
			binary.LittleEndian.PutUint64(b[shoff+64+24:], 0) // section 1 takes all of the file
			binary.LittleEndian.PutUint64(b[shoff+64+32:], uint64(len(b)))
			return b
		}},
	}
	for _, c := range cases {
		_, err := elfw.Read(c.mutate(append([]byte{}, good...)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	small := elfw.New(elfw.EmAArch64)
	text := small.AddSection(&elfw.Section{Name: ".text", Type: elfw.ShtProgbits, Flags: elfw.ShfAlloc, Data: make([]byte, 8)})
	sym := small.AddSymbol(&elfw.Symbol{Name: "f", Section: text, Bind: elfw.StbGlobal})
	small.AddSection(&elfw.Section{Name: ".rela.text", Type: elfw.ShtRela, Target: text, Relocs: []elfw.Reloc{{Sym: sym}}})
	small.AddSection(&elfw.Section{Name: ".group", Type: elfw.ShtGroup, Group: &elfw.Group{Signature: sym, Members: []*elfw.Section{text}}})
	seed, err := small.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := elfw.Read(data)
		if err != nil || file.Type != elfw.EtRel {
			return
		}
		out, err := file.Bytes()
		if err != nil {
			return
		}
		if len(out) > 4*len(data)+4096 {
			t.Fatalf("%d bytes became %d", len(data), len(out))
		}
		if _, err := elfw.Read(out); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
