package object

import (
	"bytes"
	"sort"
)

// Globalize makes every named local function and variable of a compiler's
// assembly output global, and marks those that were local as internal
// (STV_INTERNAL, which the kernel uses for nothing else).
//
// An assembler refers to local symbols by section and offset, and resolves
// calls within a section by itself. Both lose what the compiler meant: whether
// .data..read_mostly+16 is the end of one variable or the start of the next,
// and where a call went before the function moved. Global symbols keep their
// names in relocations. Nothing else changes: the instructions are the same.
func Globalize(asm []byte) []byte {
	named, local := map[string]bool{}, map[string]bool{}
	for line := range bytes.Lines(asm) {
		word, rest := cutWord(line)
		switch string(word) {
		case ".type": // .type NAME, %function or @object
			if name, kind, ok := bytes.Cut(rest, []byte(",")); ok {
				if k := bytes.TrimSpace(kind); len(k) > 1 && (string(k[1:]) == "function" || string(k[1:]) == "object") {
					if n := string(bytes.TrimSpace(name)); !named[n] && usable(n) {
						named[n], local[n] = true, true
					}
				}
			}
		case ".global", ".globl", ".weak", ".comm", ".local":
			name, _, _ := bytes.Cut(rest, []byte(","))
			n := string(bytes.TrimSpace(name))
			named[n] = true
			delete(local, n)
		}
	}
	names := make([]string, 0, len(local))
	for n := range local {
		names = append(names, n)
	}
	sort.Strings(names)
	out := bytes.Clone(asm)
	for _, n := range names {
		out = append(out, "\t.globl\t"+n+"\n\t.internal\t"+n+"\n"...)
	}
	return out
}

// cutWord splits an assembly line after its first word.
func cutWord(line []byte) (word, rest []byte) {
	line = bytes.TrimSpace(line)
	i := bytes.IndexAny(line, " \t")
	if i < 0 {
		return line, nil
	}
	return line[:i], line[i+1:]
}

// usable reports whether a name can stand in a directive without quotes and is
// no local label.
func usable(n string) bool {
	if n == "" || n[0] == '.' || n[0] >= '0' && n[0] <= '9' {
		return false
	}
	for _, c := range []byte(n) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '$':
		default:
			return false
		}
	}
	return true
}
