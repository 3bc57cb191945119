package run

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"cloudkernel/tools/internal/result"
	"cloudkernel/tools/internal/splat"
)

// decoder decodes the splats of one kernel's guests.
type decoder struct {
	r *Runner
	k *built

	mu      sync.Mutex
	read    func(file string) ([]byte, error)
	release func()
}

func newDecoder(r *Runner, k *built) *decoder { return &decoder{r: r, k: k} }

// source reads a file of the kernel's source, which is put together when it is
// first needed: most runs have nothing to decode.
func (d *decoder) source(ctx context.Context) func(file string) ([]byte, error) {
	return func(file string) ([]byte, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.read == nil {
			read, release, err := d.r.Kernels.Source(ctx, d.k.req)
			if err != nil {
				return nil, err
			}
			d.read, d.release = read, release
		}
		return d.read(file)
	}
}

func (d *decoder) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.release != nil {
		d.release()
		d.release = nil
	}
}

// decode fills in the decoded text of a unit's splats.
func (g *session) decode(ctx context.Context, u *unit, s *seen, splats []result.Splat) {
	if len(splats) == 0 || g.kernel.Kernel == nil {
		return
	}
	module := func(name string) string {
		name = strings.ReplaceAll(name, "-", "_")
		if b := g.payload[u]; b != nil && b.Modules[name] != "" {
			return b.Modules[name]
		}
		return findModule(g.kernel.Modules(), name)
	}
	var own map[string]string // sources of the case's own modules
	if b := g.payload[u]; b != nil {
		own = b.Sources
	}
	kernel := g.kernel.decoder.source(ctx)
	source := func(file string) ([]byte, error) {
		if path := own[file]; path != "" {
			return os.ReadFile(path)
		}
		return kernel(file)
	}
	d := splat.NewDecoder(g.kernel.Vmlinux(), module, source)
	defer d.Close()
	for i := range splats {
		text, err := d.Decode(&s.splats[i])
		for built, path := range own {
			if rel, err := filepath.Rel(g.r.Root, path); err == nil {
				path = rel
			}
			text = strings.ReplaceAll(text, "("+built+":", "("+path+":")
		}
		splats[i].Decoded = text
		if err != nil {
			g.r.note("%s: %v", u.res.Name, err)
		}
	}
}

// findModule returns the file of a module below dir, or "".
func findModule(dir, name string) string {
	if dir == "" {
		return ""
	}
	found := ""
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && strings.ReplaceAll(strings.TrimSuffix(e.Name(), ".ko"), "-", "_") == name {
			found = path
			return filepath.SkipAll
		}
		return nil
	})
	return found
}
