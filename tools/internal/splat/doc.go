// Package splat finds the kernel's complaints on a console, gives each a
// title, and turns their symbols into source lines.
//
// # The model
//
// A splat is a run of console lines that starts with a line only the kernel's
// error paths print ("WARNING: CPU: 0 PID: 1 at …", "Internal error: Oops", …)
// and goes on while the lines still look like a report: registers, a call
// trace, held locks. A Detector is fed the console line by line, so that a
// runner learns of a dying kernel while it dies; the whole report and its title
// are there when the report has ended.
//
//	rules.go    which line starts which kind of splat
//	detect.go   where a splat ends
//	title.go    the line that names it: equal faults have equal titles
//	frame.go    symbol+offset/size, and which frame is to blame
//	decode.go   symbol+offset/size to file:line, from the DWARF of vmlinux
//
// A title holds no addresses, times, process ids, line numbers or counters, so
// that it can stand in a list of known splats from one build to the next. It
// names the function at fault, and passes over those that only report.
//
// Not every complaint ends a run. Fatal says of a splat that the kernel
// stopped after it: panics, and oopses that led to one.
package splat
