// Package run runs cases: it has their kernels built, boots guests for them,
// does in each guest what its case says, and judges what came of it.
//
// # The model
//
//	cases × architectures × repetitions = units     (plan.go)
//	units that share a boot             = a job     (plan.go)
//	a job + what its guest is given     = a session (job.go), made ahead
//	sessions, as many at once as cores and memory allow (schedule.go)
//	a session: one guest, its units one after the other (job.go)
//	a unit: steps, selftests, KUnit suites          (steps.go, selftests.go, kunit.go)
//	what was seen of a unit → its outcome           (judge.go)
//
// Judging is a function of what was seen (type seen) and of the case alone: it
// knows no guests and no time, so that every rule of it is tested without any.
//
// While a guest runs, three things are watched (watch.go): the console, for
// splats and a dying kernel; the heartbeat of the agent, for a kernel that
// went silent; and the clock. Whichever speaks first ends the unit: a panic
// within seconds, not when its time is over.
//
// The package prints nothing. It tells a result.Sink what happens and returns
// a result.Run.
package run
