package series

import (
	"context"
	"fmt"
	"time"

	"cloudkernel/tools/internal/arch"
)

// Builder builds the kernel that a part of the series makes.
type Builder interface {
	// BuildPrefix builds the base with the first n patches of the series
	// applied, with the topics of those patches switched on.
	BuildPrefix(ctx context.Context, n int, a *arch.Arch) error
}

// Step is one patch that Verify has built.
type Step struct {
	Patch   *Patch
	N, Of   int // its place in the series, counted from 1
	Arch    *arch.Arch
	Elapsed time.Duration
	Err     error
}

// Verify proves that every patch stands by itself: it builds the kernel after
// each patch from the one named from ("" for the first) to the one named to (""
// for the last), and stops at the first that does not build, whose error it
// returns. from and to are names of patch files, or what they begin with.
// before and after, if not nil, are called around every build.
func (s *Series) Verify(ctx context.Context, b Builder, a *arch.Arch, from, to string, before, after func(Step)) error {
	first, err := s.index(from)
	if err != nil {
		return err
	}
	last := len(s.Patches) - 1
	if to != "" {
		if last, err = s.index(to); err != nil {
			return err
		}
	}
	if first > last {
		return fmt.Errorf("%s comes after %s: nothing would be built", s.Patches[first].Name, s.Patches[last].Name)
	}
	for i := first; i <= last; i++ {
		step := Step{Patch: s.Patches[i], N: i + 1, Of: len(s.Patches), Arch: a}
		if before != nil {
			before(step)
		}
		start := time.Now()
		step.Err = b.BuildPrefix(ctx, i+1, a)
		step.Elapsed = time.Since(start)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if after != nil {
			after(step)
		}
		if step.Err != nil {
			return fmt.Errorf("%s does not build for %s: %w", s.Patches[i].Name, a, step.Err)
		}
	}
	return nil
}
