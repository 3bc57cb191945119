// Package ktap reads test results in the kernel's Test Anything Protocol and
// its relatives: KTAP version 1 as KUnit prints it, TAP 13 as kselftest prints
// it, TAP 14.
//
// # The model
//
// KTAP is a tree written depth first, children before their parent's result:
//
//	KTAP version 1
//	1..2                          the plan: how many results follow at this level
//	    KTAP version 1            a deeper column opens the group of children …
//	    # Subtest: list
//	    1..2
//	    ok 1 add
//	    not ok 2 del # SKIP reason
//	ok 1 list                     … of the next result at the column to its left
//	not ok 2 hash
//
// What tells a child from its parent is only the column the line starts in.
// KUnit indents by spaces; kselftest writes "# " before every line of a test
// it runs, so a level is two columns there too. A Parser keeps a stack of open
// groups by column, and reads both, mixed as they come.
//
// Nothing about the stream can be trusted to be in order. The kernel writes
// its log between the lines, and sometimes in the middle of one; a guest that
// dies truncates it. So lines that are no KTAP are kept as diagnostics of the
// next result, a line that a log message was written into is put together
// again, and whatever the plans promised and the stream did not hold becomes a
// failing result of its own: silence is never a pass.
//
// Format: Documentation/dev-tools/ktap.rst in the kernel's source, and
// https://testanything.org/tap-version-14-specification.html.
package ktap
