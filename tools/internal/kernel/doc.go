// Package kernel turns a base and a series into kernels.
//
// A kernel is wholly named by what it is made from: the base source, the files
// as the series leaves them, the configuration asked for, and the toolchain.
// The hash of these is its key, and the store keeps a kernel under its key, so
// asking twice costs nothing, and editing a commit message, a page or a test
// program rebuilds nothing.
//
// What is not in the store is built in a lane. A lane is a source tree that
// stays where it is: hard links to the base, with the files the series changes
// put in their place one by one. Only files whose content differs are touched,
// so the next build of a lane compiles what the edit reaches and nothing else.
// Each repository has a lane for its series, one for the plain base, and one for
// each set of topics left out.
//
//	<store>/lane/<base>-<repository>-series/           source: base + series
//	<store>/lane/<base>-<repository>-series/.build-*/  kbuild's output, one a (architecture, profile, options)
//	<store>/kernel/<key>/                 what a build is kept as: Image, vmlinux, config, …
//
// The output directory lies directly inside the source tree because kbuild then
// names sources relative to it ("../kernel/fork.c"), and the compiler is told to
// call it by a fixed name in debug information. The objects of two lanes are
// therefore the same to the byte: ccache serves one lane with what another has
// compiled, and the build id of a kernel tells what it is made from, not where.
//
// A lane is locked while it is changed or built in; a killed build leaves a
// lane that the next one carries on from, and nothing in the store.
package kernel
