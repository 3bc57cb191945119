// Package doctor says what this machine has and lacks for the laboratory's
// work, and can install what is lacking.
//
// The model: there are uses (build an arm64 kernel, boot a guest …), and there
// are needs. A need is one thing of the machine that can be proved to be there
// (a program of some version, a header that compiles, a libc that links) and
// that some uses cannot do without. Check looks at every need of the uses that
// were asked for, and at the machine itself (disk, memory, file locks,
// accelerator), and returns findings: data, each with what was found, what
// wants it, and the one command that puts it right. Install hands the packages
// of the missing ones to apt-get in one transaction.
//
// The table of needs, in needs.go, is the only place in the project that lists
// Debian packages: the README, CI and .ci/run call "kernlab doctor --install".
package doctor
