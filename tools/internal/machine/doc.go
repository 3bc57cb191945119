// Package machine turns a description of a virtual machine into a QEMU process.
//
// A Spec says what the machine is; its Devices are small values, each of which
// knows its own QEMU arguments and its own part of the kernel's command line,
// so that adding a disk is adding a value. Start runs QEMU for a Spec and
// returns a Machine: a console that is captured within bounds, a QMP
// connection, and a process that ends when its context does and that the
// kernel ends when we are killed.
//
// Between QEMU and us there are no paths: the QMP connection and the guest's
// ports are socket pairs that QEMU inherits, the console is its stdout. Nothing
// is left behind, nothing can be mistaken for another machine's.
//
// Which accelerator runs the guest is found by trying (Probe), not by looking
// for /dev/kvm: that file may be there and a guest still not run.
package machine
