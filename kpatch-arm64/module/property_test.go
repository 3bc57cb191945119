package module_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"cloudkernel/kpatch-arm64/internal/cctest"
	"cloudkernel/kpatch-arm64/internal/cgen"
)

// TestRandomPairs makes modules from random changes in all four layouts, and
// compares what is in them with what the compiler emits for the changed source
// by itself: a plain object without function sections, read by debug/elf. The
// reader, the way relocations are understood and the object compared with are
// all different from what made the module.
func TestRandomPairs(t *testing.T) {
	seeds := 6
	if n, err := strconv.Atoi(os.Getenv("HOTPATCH_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		s := cgen.New(uint64(seed))
		for _, l := range cctest.Layouts {
			t.Run(fmt.Sprintf("%d/%s", seed, l.Name), func(t *testing.T) {
				t.Parallel()
				m := build(t, s.Source, l)
				if len(m.plan.Refusals) > 0 {
					t.Fatalf("refused: %v\n%s", m.plan.Refusals, s.Source)
				}
				var changed, fresh []string
				for _, f := range m.res.Changed {
					changed = append(changed, f.Old)
				}
				for _, f := range m.res.New {
					fresh = append(fresh, f.Name)
				}
				sort.Strings(changed)
				if !slices.Equal(changed, s.Changed) || !slices.Equal(fresh, s.New) {
					t.Fatalf("changed %v and new %v, want %v and %v\n%s", changed, fresh, s.Changed, s.New, s.Source)
				}
				_, after := cgen.Pair(s.Source)
				want, got := newView(t, cctest.Compile(t, "test.c", after, l)), newView(t, m.ko)
				for _, name := range append(changed, fresh...) {
					w, g := want.describe(name, l), got.describe(name, l)
					if w != g {
						t.Errorf("%s differs: the compiler emits\n%s\nthe module has\n%s\n%s", name, w, g, s.Source)
					}
					if strings.Contains(w, "site none") {
						t.Errorf("%s has no patch site", name)
					}
				}
			})
		}
	}
}

// view reads an object the simple way.
type view struct {
	t    testing.TB
	f    *elf.File
	syms []elf.Symbol
	data map[int][]byte
	rela map[int][]rela // by target section, in order of offset
}

type rela struct {
	off    uint64
	typ    uint32
	sym    elf.Symbol
	addend int64
}

func newView(t testing.TB, data []byte) *view {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	v := &view{t: t, f: f, data: map[int][]byte{}, rela: map[int][]rela{}}
	if v.syms, err = f.Symbols(); err != nil {
		t.Fatal(err)
	}
	for i, s := range f.Sections {
		if s.Type == elf.SHT_NOBITS {
			continue
		}
		if v.data[i], err = s.Data(); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range f.Sections {
		if s.Type != elf.SHT_RELA {
			continue
		}
		for b := v.data[i]; len(b) >= 24; b = b[24:] {
			info := binary.LittleEndian.Uint64(b[8:])
			r := rela{off: binary.LittleEndian.Uint64(b), typ: uint32(info), addend: int64(binary.LittleEndian.Uint64(b[16:]))}
			if n := info >> 32; n > 0 {
				r.sym = v.syms[n-1]
			}
			v.rela[int(s.Info)] = append(v.rela[int(s.Info)], r)
		}
	}
	for i := range v.rela {
		sort.SliceStable(v.rela[i], func(a, b int) bool { return v.rela[i][a].off < v.rela[i][b].off })
	}
	return v
}

func (v *view) function(name string) (elf.Symbol, bool) {
	for _, s := range v.syms {
		if s.Name == name && elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Section != 0 && s.Section < elf.SHN_LORESERVE {
			return s, true
		}
	}
	return elf.Symbol{}, false
}

// describe writes down all there is to know of a function, without saying where
// anything lies.
func (v *view) describe(name string, l cctest.Layout) string {
	s, ok := v.function(name)
	if !ok {
		return "there is none"
	}
	var b strings.Builder
	sec := int(s.Section)
	lo, hi := s.Value-uint64(l.Pad), s.Value+s.Size
	code := slices.Clone(v.data[sec][lo:hi])
	relocated := map[uint64]string{}
	for _, r := range v.rela[sec] {
		if r.off >= lo && r.off < hi {
			relocated[r.off] = fmt.Sprintf("%d %s", r.typ, v.meaning(s, r))
		}
	}
	for off := uint64(0); off+4 <= uint64(len(code)); off += 4 {
		w := binary.LittleEndian.Uint32(code[off:])
		at := lo + off
		switch m, ok := relocated[at]; {
		case ok:
			fmt.Fprintf(&b, "%+d %s\n", int64(at-s.Value), m)
		case w&0x7c000000 == 0x14000000: // a branch that the assembler resolved
			to := at + uint64(int64(int32(w<<6))>>4)
			typ := 282 + w>>31
			fmt.Fprintf(&b, "%+d %d %s\n", int64(at-s.Value), typ, v.meaning(s, rela{typ: typ, sym: elf.Symbol{Section: s.Section, Value: to}}))
		default:
			fmt.Fprintf(&b, "%+d %08x\n", int64(at-s.Value), w)
		}
	}
	fmt.Fprintf(&b, "site %s\n", v.site(s))
	v.tables(&b, s)
	return b.String()
}

// site returns where the function's patch site is.
func (v *view) site(s elf.Symbol) string {
	for i, sec := range v.f.Sections {
		if sec.Name != "__patchable_function_entries" {
			continue
		}
		for _, r := range v.rela[i] {
			at := r.sym.Value + uint64(r.addend)
			if r.sym.Section == s.Section && at+16 > s.Value && at < s.Value+16 {
				return fmt.Sprintf("%+d", int64(at-s.Value))
			}
		}
	}
	return "none"
}

// tables writes the entries of special tables about a function. What an entry
// points to besides the function's own code is written by content.
func (v *view) tables(b *strings.Builder, s elf.Symbol) {
	for _, t := range []struct {
		name string
		size uint64
	}{{"__ex_table", 12}, {"__bug_table", 12}, {"__jump_table", 16}, {".altinstructions", 12}} {
		var lines []string
		for i, sec := range v.f.Sections {
			if sec.Name != t.name {
				continue
			}
			for off := uint64(0); off < sec.Size; off += t.size {
				if line, ok := v.entry(i, off, t.size, s); ok {
					lines = append(lines, t.name+" "+line)
				}
			}
		}
		sort.Strings(lines)
		fmt.Fprintln(b, strings.Join(lines, "\n"))
	}
}

func (v *view) entry(sec int, off, size uint64, s elf.Symbol) (string, bool) {
	data := slices.Clone(v.data[sec][off : off+size])
	text, mine := "", false
	for _, r := range v.rela[sec] {
		if r.off < off || r.off >= off+size {
			continue
		}
		to := r.sym.Value + uint64(r.addend)
		width := uint64(4)
		if r.typ == 260 || r.typ == 257 {
			width = 8
		}
		inside := r.sym.Section == s.Section && to >= s.Value && to < s.Value+s.Size
		if r.off == off {
			if !inside {
				return "", false
			}
			mine = true
		}
		switch {
		case inside:
			text += fmt.Sprintf(" own%+d", to-s.Value)
		case v.f.Sections[sec].Name == ".altinstructions" && data[11] > 0:
			text += fmt.Sprintf(" code %x", v.data[int(r.sym.Section)][to:to+uint64(data[11])])
		default:
			text += " " + v.meaning(elf.Symbol{}, r)
		}
		copy(data[r.off-off:], make([]byte, width))
	}
	return fmt.Sprintf("%x%s", data, text), mine
}

// meaning says what a relocation refers to: the name of a function or variable,
// or the content of a constant.
func (v *view) meaning(s elf.Symbol, r rela) string {
	name, off := r.sym.Name, r.addend
	if n, ok := strings.CutPrefix(name, ".klp.sym.vmlinux."); ok {
		name, _, _ = strings.Cut(n, ",")
		return fmt.Sprintf("%s%+d", stem(name), off)
	}
	if r.sym.Section == elf.SHN_UNDEF {
		return fmt.Sprintf("%s%+d", name, off)
	}
	sec, at := r.sym.Section, r.sym.Value+uint64(r.addend)
	if s.Size > 0 && sec == s.Section && at > s.Value && at < s.Value+s.Size {
		return fmt.Sprintf("own%+d", at-s.Value)
	}
	for _, c := range v.syms {
		if c.Section == sec && c.Name != "" && !strings.HasPrefix(c.Name, "$") && !strings.HasPrefix(c.Name, ".L") && !strings.HasPrefix(c.Name, "CSWTCH") &&
			at >= c.Value && (at < c.Value+c.Size || c.Size == 0 && at == c.Value) {
			return fmt.Sprintf("%s%+d", stem(c.Name), at-c.Value)
		}
	}
	data := v.data[int(sec)]
	at -= uint64(r.addend) // constants may be referred to from before their start
	if elf.ST_TYPE(r.sym.Info) == elf.STT_SECTION {
		at += uint64(r.addend)
	}
	if at >= uint64(len(data)) {
		return fmt.Sprintf("%s beyond its end", v.f.Sections[sec].Name)
	}
	// A constant's length is not known here; eight bytes, or a string, tell
	// most of them apart.
	text := data[at:]
	if n := bytes.IndexByte(text, 0); n >= 3 {
		return fmt.Sprintf("%q", text[:n])
	}
	return "a constant"
}

// stem drops the number that the compiler gives static variables.
func stem(name string) string { return strings.TrimRight(name, "0123456789") }
