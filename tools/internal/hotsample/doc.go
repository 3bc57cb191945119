// Package hotsample tries the hotpatch compiler on changes that nobody made for
// it: those between two releases of the kernel, file by file. Of the files that
// a built kernel was compiled from and that differ in another source tree, an
// evenly spread sample is taken; each difference is made into a hotpatch, and
// each hotpatch is applied, reverted and unloaded in a guest.
//
// The other tree may be older than the kernel: a change that undoes a fix is as
// real as the fix.
package hotsample
