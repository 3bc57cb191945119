// Package module turns compared objects into a livepatch module.
//
// It does so in three steps, with the kernel's own build between them:
//
//  1. Assemble writes one relocatable object per changed source file, holding
//     the atoms that come along and nothing else, and Source writes the small C
//     file that registers the replacements with the livepatch core.
//  2. kbuild compiles that C file and links everything into a module, as it
//     does for any external module.
//  3. Finish rewrites the linked module: what refers to symbols that only the
//     livepatch core can find moves from ordinary relocation sections to
//     .klp.rela.* sections, and Verify reads the result back and compares it
//     with what the compiler emitted.
//
// # References
//
// An included atom refers to the running kernel in one of three ways. A symbol
// that vmlinux exports is an ordinary undefined symbol. Any other is a symbol
// in section SHN_LIVEPATCH called .klp.sym.OBJECT.NAME,POS. Between steps 1 and
// 3 these travel through the linker as absolute local symbols whose name says
// everything (see klpName), since no linker keeps SHN_LIVEPATCH.
//
// A reference to a function that exists in the running kernel always means the
// original, even when the function itself is replaced: the entry of the
// original leads to whatever replaces it. So a pointer that is stored somewhere
// stays valid after the module is gone, and patches stack in any order.
package module
