package plot

import (
	"strings"

	"cloudkernel/tools/internal/measure"
)

// limits says what a benchmark's rig cannot show.
func limits(b *measure.Benchmark) []string {
	emulated := []string{
		"The guest's CPU is emulated: there are no caches, no branch predictor, no SMT and no memory bandwidth. What is cheap or dear because of them does not show.",
	}
	if b.Rig == measure.Deterministic {
		return append([]string{
			"Time is an instruction count: 1 ns is one instruction, or a wait of 1 ns for a timer. A ratio of two values is one of instructions, not of seconds on a real CPU.",
			"There is one CPU: nothing about locks that two CPUs want, nor about balancing.",
			"It is one run of one input, exact for that. Another layout of the same code may take a few instructions more or less.",
		}, emulated...)
	}
	list := []string{"Times are wall times of this host. What else ran on it is in them; the intervals are as wide as that makes them."}
	if strings.Contains(b.Machine, "tcg") {
		list = append(list, emulated...)
		list = append(list, "Virtual CPUs are threads of the host: with fewer cores than virtual CPUs they take turns.")
	}
	return list
}
