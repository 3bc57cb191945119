// Package archtest keeps the rules that docs/architecture.md states: its test
// reads every source file of the repository and fails on what breaks them.
//
// The rules are tables (rules.go), each row with its reason. A new package has
// a row in the table of stages before it has an import; a new exception has a
// row that says why.
package archtest
