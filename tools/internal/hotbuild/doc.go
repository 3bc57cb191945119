// Package hotbuild turns source patches into a livepatch module for one built
// kernel: it knows where files are, how kbuild compiled them, and which outside
// programs to run. What objects and modules are made of is kpatch-arm64's
// business.
//
// The steps, each a file of this package:
//
//	kernel.go   open the build directory: configuration, compiler, release
//	patch.go    apply the patches to copies of the files they touch
//	lines.go    keep the line numbers of what did not change
//	find.go     find the objects whose recorded dependencies were touched
//	shadow.go   a private view of the source in which only those files differ
//	compile.go  compile an object as kbuild recorded it
//	compare.go  compile before and after, and find what differs
//	module.go   find the objects in the kernel, assemble and verify the module
//	link.go     have kbuild link it
//	build.go    all of it in order
//
// The kernel's build directory and source are only read. Everything is written
// below one temporary directory, which is removed in the end.
package hotbuild
