package diff

import (
	"regexp"
	"strings"
)

// base returns a symbol's name without the numbers that the compiler, or the
// preprocessor's counter, put into it: "count.12" becomes "count.",
// "f.isra.0.cold" becomes "f.isra..cold", "__UNIQUE_ID_x7" "__UNIQUE_ID_x".
// Two names with one base may be the same thing. The second result is whether
// there was a number.
func base(name string) (string, bool) {
	numbered := false
	if strings.Contains(name, ".") {
		parts := strings.Split(name, ".")
		for i, p := range parts {
			if i > 0 && p != "" && strings.Trim(p, "0123456789") == "" {
				parts[i], numbered = "", true
			}
		}
		name = strings.Join(parts, ".")
	}
	if rest, ok := strings.CutPrefix(name, "__initcall__"); ok {
		if m := initcall.FindStringIndex(rest); m != nil {
			name, numbered = "__initcall__"+rest[:m[0]]+"__"+rest[m[1]:], true
		}
	}
	for _, prefix := range counted {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			head, tail, _ := strings.Cut(rest, ".")
			if t := strings.TrimRight(head, "0123456789"); t != head {
				name, numbered = prefix+t, true
				if tail != "" || strings.HasSuffix(rest, ".") {
					name += "." + tail
				}
			}
		}
	}
	return name, numbered
}

// initcall finds the counter and the line in the name of an initcall
// (linux/init.h, __initcall_id).
var initcall = regexp.MustCompile(`__\d+_\d+_`)

// counted are the beginnings of names that end in __COUNTER__ (the kernel's
// __UNIQUE_ID, and the identifiers of BTF_ID).
var counted = []string{"__UNIQUE_ID_", "__BTF_ID__"}

// function returns the name of the source function that a symbol comes from:
// the part before any clone suffix.
func function(name string) string {
	if i := strings.IndexByte(name, '.'); i > 0 {
		return name[:i]
	}
	return name
}

// valueNames are the beginnings of names of constants that the compiler made,
// or that only stand for their text. They have no identity: a copy is as good.
var valueNames = []string{"CSWTCH.", "__func__.", "__FUNCTION__.", "__PRETTY_FUNCTION__.", "C.", ".LC"}

// freshNames are the beginnings of names of variables that macros make for
// their own bookkeeping (print this once, at most so often; the lock class of
// this place). When it cannot be told which is which, a fresh one is right:
// at worst a message is printed once more.
var freshNames = []string{"__already_done.", "__warned.", "__print_once.", "_rs.", "__key.", "___done.", "___once_key."}

func hasPrefix(name string, list []string) bool {
	for _, p := range list {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// sectionIs reports whether a section is called name, or name followed by a
// dot.
func sectionIs(section string, names ...string) bool {
	for _, n := range names {
		if rest, ok := strings.CutPrefix(section, n); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}
