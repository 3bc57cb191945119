// Package base gets the Linux source that the series applies to.
//
// The pin (kernel-patches/base) names one point release and the places it can
// be had from, in order of preference, each with the sha256 of what must come
// from there. Get tries them in that order and returns the extracted tree,
// which lives in the store under its digest and is never written to: the first
// call unpacks (about 13 s, 1.7 GB), later ones only look.
//
//	pin ──▶ source ──▶ tarball ──▶ tree in the store
//	        (installed file,  (sha256      (base/<sha256>/src)
//	         apt, URL)         verified)
//
// Nothing is unpacked before its digest was verified, and a tree that was not
// unpacked to its end never becomes an entry of the store.
//
// Package archives drop old point releases. When apt no longer offers the
// pinned one and no other source has it, Get takes the newest release of the
// same longterm line that apt offers, marks the result as a Substitute and
// says so. The package never decides whether the series applies to it.
package base
