// Package image knows a built kernel or module by its symbol table: where an
// object file was linked to, and how the kernel's livepatch code can be told
// to find a symbol again at run time.
//
// Names alone do not identify symbols: a kernel has dozens of static variables
// called "__key.0". The livepatch core takes a name and a position among the
// symbols of that name (sympos). For vmlinux it counts in kallsyms order, which
// is by address; for a module, in the order of the module's own symbol table
// (kernel/livepatch/core.c, klp_find_object_symbol).
//
// To know which of them an object's own symbol is, the object is placed: for
// each of its sections there is exactly one address at which every symbol that
// the object defines there is found in the image under the same name. From
// then on a symbol is its address, and the position follows by counting.
package image
