package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/bring"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/lab"
	"cloudkernel/tools/internal/machine"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/splat"
)

// Trial is one guest that is wanted: everything a rig must know.
type Trial struct {
	Bench   *Benchmark
	Variant Variant
	Arch    *arch.Arch

	Spec    lab.Spec // the guest, but for Dir
	Accel   machine.Accel
	Script  string // what runs in it; "" when the boot is what is measured
	Dir     string // for its logs
	Timeout time.Duration
}

// Observation is what a trial came to.
type Observation struct {
	Stdout  string        // of the script
	Console string        // all of it, where the rig compares it
	Wall    time.Duration // while QEMU ran
	Marks   Marks         // of the boot, where the rig knows them
	Log     string        // the kernel's own log, where it was asked for
}

// Rig runs trials.
type Rig interface {
	Run(ctx context.Context, t Trial) (Observation, error)
}

// caseDir is where scripts start, and where what is brought along is.
const caseDir = bring.Dir

// splatted returns an error if a console holds a complaint of the kernel's. A
// kernel that complained is not the one that is to be measured.
func splatted(console string, log string) error {
	for _, s := range splat.Scan(console) {
		return outcome.Errorf(outcome.Panic, "the kernel complained: %s; its words are in %s", s.Title, log)
	}
	return nil
}

// scriptFailed is the error of a script that ended with a code that is not 0.
func scriptFailed(code int, text string) error {
	text = strings.TrimSpace(text)
	const most = 600
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	if text != "" {
		text = ":\n" + text
	}
	return outcome.Errorf(outcome.Fail, "the script ended with exit code %d%s", code, text)
}

// ballast is an archive member of so many MiB that does not compress away.
func ballast(mib int) image.Entry {
	data := make([]byte, mib<<20)
	x := uint64(88172645463325252)
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x)
	}
	return image.Entry{Path: "/ballast", Mode: 0o600, Data: data}
}

// late is the error of a trial that took longer than it may.
func late(limit time.Duration, log string) error {
	return outcome.Errorf(outcome.Hang, "the trial did not end within %s; its console is in %s", limit.Round(time.Second), log)
}

// lines splits a console into lines without their ends.
func lines(console string) []string {
	return strings.Split(strings.ReplaceAll(console, "\r", ""), "\n")
}

// firstDifference says where two texts differ.
func firstDifference(a, b string) string {
	x, y := lines(a), lines(b)
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d\n  first run:  %s\n  second run: %s", i+1, x[i], y[i])
		}
	}
	return fmt.Sprintf("one has %d lines, the other %d", len(x), len(y))
}
