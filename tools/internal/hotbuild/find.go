package hotbuild

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// find returns the targets of the build that were made from any of the touched
// files (paths below the source), in order of their names.
func (k *Kernel) find(ctx context.Context, touched []string) ([]*cmdFile, error) {
	var needles [][]byte
	want := map[string]bool{}
	for _, t := range touched {
		needles = append(needles, []byte(filepath.Base(t)))
		want[t] = true
	}
	paths := make(chan string)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(paths)
		return filepath.WalkDir(k.Build, func(p string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir():
				// Symbolic links are not followed; the build's own source
				// links and installed modules hold no commands of its own.
				if n := d.Name(); p != k.Build && (n == ".git" || strings.HasPrefix(n, ".build-") || n == ".tmp_versions") {
					return fs.SkipDir
				}
			case strings.HasSuffix(p, ".cmd"):
				select {
				case paths <- p:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	var mu sync.Mutex
	var found []*cmdFile
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for p := range paths {
				data, err := os.ReadFile(p)
				if err != nil {
					return err
				}
				if !containsAny(data, needles) {
					continue
				}
				c, err := parseCmd(data)
				if err != nil {
					continue // not a compiled target: an archive, say
				}
				for _, d := range c.deps {
					if want[k.rel(d)] {
						mu.Lock()
						found = append(found, c)
						mu.Unlock()
						break
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	sort.Slice(found, func(i, j int) bool { return found[i].target < found[j].target })
	return found, nil
}

func containsAny(data []byte, needles [][]byte) bool {
	for _, n := range needles {
		if bytes.Contains(data, n) {
			return true
		}
	}
	return false
}
