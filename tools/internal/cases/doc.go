// Package cases reads the whole-system test cases in qemu-tests and chooses
// among them.
//
// A case is one YAML file, qemu-tests/<topic>/<case>.yaml, that says what
// machine it needs, what is brought into the guest, what runs there and what
// must hold. qemu-tests/README.md describes the format for those who write
// cases; the types of this package are the format.
//
// Reading is strict: a typo is an error with file, line and column, and a case
// that could never be judged (no steps, a contradiction) is refused before any
// guest boots.
package cases
