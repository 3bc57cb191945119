// Package livepatch runs hotpatches on the host it is on: it loads and unloads
// livepatch modules, watches the kernel change over, and keeps a journal of
// what was done.
//
// The kernel is the only truth about what is applied now. A module that is
// loaded registers itself with the livepatch core, which then moves one task
// after the other to the new functions, each at a moment when none of the
// functions concerned is on its stack. While that lasts the patch is in
// transition. All of this is read from /sys/kernel/livepatch, and from
// /proc/<pid>/patch_state who is still missing. Nothing is remembered between
// two calls; a process that was killed in the middle loses nothing.
//
// The journal says what the kernel cannot: what was asked for, when, and
// whether the host survived it. An entry is written, and is on disk, before
// anything is done.
package livepatch
