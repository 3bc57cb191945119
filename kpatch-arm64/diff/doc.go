// Package diff finds out which functions of an object a source change
// changed, and what must come along when they are replaced in a running
// kernel.
//
// It works on two objects of one source file, compiled from before and after
// the change with the same compiler and flags and one section per function and
// datum. Four steps:
//
//  1. Correlate: which function and which datum of the one object is which of
//     the other. Names decide where they can. Names that the compiler numbers
//     (static variables of functions, clones) are matched by where they were
//     declared, by content, and by who uses them. What stays doubtful is said
//     to be doubtful.
//  2. Compare: two functions are the same if their instructions are, apart
//     from the bits that relocations fill, and their references mean the same
//     things. References to string literals, jump tables and other values
//     without identity are compared by content; all others by correlation.
//     The special table entries about a function are part of it.
//  3. Select: changed functions are replaced. Whatever they refer to is either
//     in the running kernel already (a correlated function or datum: the
//     original is used, always) or comes along (new functions, new data,
//     copies of values).
//  4. Judge: what cannot be done to a running kernel is refused, with the
//     reason and what to do instead.
//
// Correlating functions wrongly costs size and never correctness: whatever the
// pairs are, a function that does not compare as equal under them is replaced,
// and callers of the original reach the replacement through it. Correlating
// data wrongly would hand one variable's state to another, so data are never
// paired on a guess.
package diff
