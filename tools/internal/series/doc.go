// Package series reads the patch series under kernel-patches/, says what is
// wrong with it, and applies it in memory.
//
// The series file lists patch files in the order they apply. A patch is a
// `git format-patch` mail; the directory it is in is its topic. Topics are
// independent of each other unless a Depends-on trailer says otherwise, so any
// of them can be left out (Without) and the rest still applies.
//
//	kernel-patches/series ──▶ Series ──Apply(base)──▶ Applied: path → content
//	kernel-patches/<topic>/*.patch        │
//	                                      └─Check──▶ diag.List (file:line: message)
//
// Apply is strict: a hunk goes where all its context and all its old lines
// stand, byte for byte, as `git am` demands; the place may have moved, and there
// is no fuzz. It reads from the base only the files that patches touch, so
// checking a series takes milliseconds and never needs a copy of the tree.
//
// Load finds what makes the series unreadable; Check finds what breaks its
// rules (rules.go holds the table); Apply finds what does not apply. Each
// reports everything it finds, as diagnostics with the place in the patch.
//
// The package knows nothing of git repositories and of compilers.
package series
