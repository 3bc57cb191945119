package bench

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/image"
	"cloudkernel/tools/internal/lab"
	"cloudkernel/tools/internal/outcome"
)

// Full runs trials in the guest that cases have: an agent, disks of packages,
// a network.
type Full struct{}

// Run implements Rig.
func (Full) Run(ctx context.Context, t Trial) (obs Observation, err error) {
	spec := t.Spec
	spec.Dir = t.Dir
	spec.Files = append(spec.Files[:len(spec.Files):len(spec.Files)],
		image.Entry{Path: "/bench/run", Mode: 0o644, Data: []byte(t.Script)})
	var console strings.Builder
	spec.OnLine = func(l string) { console.WriteString(l + "\n") }
	log := filepath.Join(t.Dir, "console.log")

	g, err := lab.Boot(ctx, spec)
	if err != nil {
		return obs, err
	}
	// QEMU's life is what the guest takes; the rest is ours.
	began := time.Now().Add(-g.Booted)
	defer func() { g.Close(); obs.Wall = time.Since(began) }()
	obs.Marks.Ready = g.Booted

	running := ctx
	if t.Timeout > 0 {
		var cancel context.CancelFunc
		running, cancel = context.WithTimeout(ctx, t.Timeout)
		defer cancel()
	}
	var stdout, stderr bytes.Buffer
	code, err := g.Run(running, guest.Cmd{
		Argv: []string{"sh", "-e", "/bench/run"}, Dir: caseDir, Stdout: &stdout, Stderr: &stderr,
	})
	obs.Stdout = stdout.String()
	switch {
	case ctx.Err() != nil:
		return obs, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return obs, late(t.Timeout, log)
	case err != nil:
		return obs, g.Explain(err)
	}
	// Close reads the console to its end, and leaves no line for later.
	g.Close()
	if err := splatted(console.String(), log); err != nil {
		return obs, err
	}
	if code == skipCode {
		return obs, outcome.Errorf(outcome.Skip, "%s", strings.TrimSpace(stderr.String()))
	}
	if code != 0 {
		return obs, scriptFailed(code, obs.Stdout+"\n"+stderr.String())
	}
	return obs, nil
}

// skipCode is the exit code of a script that cannot measure here.
const skipCode = 4
