// Package e2e tests kernlab as a person meets it: the real command, on the real
// source, with real compilers and real guests, through testscript. It has no
// code of its own.
//
// The tests need everything that 'kernlab doctor' asks for, and minutes where
// no kernel is built yet, so they run only with CLOUDKERNEL_E2E=1, as 'make
// test' sets it. They share the user's store, so that kernels are built once.
package e2e
