// Package report shows what a run found out.
//
// The model: a run is data (package result). While it runs it tells a Sink of
// its events; when it has ended it is whole, and every report is a function of
// it and of nothing else. So there are two halves here:
//
//   - while it runs: a window of the running cases on a terminal, plain lines
//     with the time elsewhere (Live);
//   - when it has ended: Text for people, JSON for programs (and for
//     "kernlab ci publish"), JUnit for CI systems, KTAP for the kernel's tools.
//
// Options gathers both for a command: which reports, and where they go.
//
// All reports count alike (Count): what passed, what failed, and what was
// skipped or covered by a known failure. A panic and a lost tool are both in
// "failed"; the outcome word and the exit code tell them apart.
package report
