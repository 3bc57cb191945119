// Package payload makes what cases bring into a guest: programs in C and Go,
// kernel modules, and the kernel's own selftests, each compiled for the
// guest's architecture and linked statically, since a guest has no libraries.
//
// It owns the compilers that make them. What is expensive is kept in the
// store, named by everything it was made from.
package payload
