package run

import (
	"context"
	"strings"

	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/splat"
)

// leaks asks a kernel with kmemleak for memory nothing refers to any more. An
// object younger than 5 s is not suspected, and one is reported when two scans
// agree, so this waits; it is for kernels whose every step is slow anyway.
func (g *session) leaks(ctx context.Context, u *unit, s *seen) {
	if !strings.Contains(g.kernel.config, "\nCONFIG_DEBUG_KMEMLEAK=y") {
		return
	}
	const script = `f=/sys/kernel/debug/kmemleak; [ -e $f ] || exit 0
sleep 6; echo scan >$f; echo scan >$f; cat $f`
	r := g.exec(ctx, guest.Cmd{Argv: []string{"sh", "-c", script}}, g.r.patient(0, silence, g.job.req))
	switch {
	case r.err != nil:
		s.ended(g, "", r.err)
	case r.hang != "":
		s.hang = r.hang
	default:
		s.splats = append(s.splats, splat.Leaks(r.stdout)...)
	}
}
