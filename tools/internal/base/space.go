package base

import (
	"fmt"

	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/outcome"
)

// needed is what getting and unpacking the base takes: the tree is 1.7 GB, the
// package and the tarball in it 0.3 GB.
const needed = 2_100_000_000

// noSpace says that a file system is too full. No other source helps then.
type noSpace struct {
	dir        string
	have, need int64
}

func (e *noSpace) Error() string {
	return fmt.Sprintf("no space: %s has %.1f GB free, the unpacked kernel source needs %.1f GB; free some (kernlab cache gc), or put the cache elsewhere with --cache or CLOUDKERNEL_CACHE",
		e.dir, float64(e.have)/1e9, float64(e.need)/1e9)
}

func (g *getter) needSpace(dir string) error {
	have, err := g.free(dir)
	if err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	if have < needed {
		return &outcome.Error{Outcome: outcome.Infra, Err: &noSpace{dir: g.st.Dir(), have: have, need: needed}}
	}
	return nil
}

// freeBytes returns what an ordinary user may still write to dir's file system.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}
