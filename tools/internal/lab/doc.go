// Package lab boots guests: it puts a kernel, the images and a machine
// together, starts it, waits for the agent's hello, and sets up what the guest
// was asked to have. What comes out is a Guest: a client to ask things of, a
// console to look at, and one Close that leaves nothing behind.
//
// Boot says how it ended in the words of package outcome: a guest that does not
// come up is a boot-fail and shows the last lines of its console; a missing
// tool or file, or a QEMU that refuses its command line, is infra.
package lab
