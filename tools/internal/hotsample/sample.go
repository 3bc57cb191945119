package hotsample

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/sync/errgroup"

	"cloudkernel/tools/internal/hotbuild"
)

// Outcome is what became of one change.
type Outcome string

// Outcomes.
const (
	Loaded  Outcome = "loaded"  // built, applied, reverted and unloaded
	Built   Outcome = "built"   // a module was made, and not tried
	Failed  Outcome = "FAILED"  // a module was made, and did not do in the guest
	Refused Outcome = "refused" // hotpatch says why not
	Nothing Outcome = "nothing" // the change makes no difference to this kernel's code
	Alone   Outcome = "alone"   // the file does not compile without the other files' changes
	Broken  Outcome = "BROKEN"  // hotpatch failed
)

// Item is the change of one file.
type Item struct {
	File      string   `json:"file"`
	Lines     int      `json:"lines"` // added and removed
	Outcome   Outcome  `json:"outcome"`
	Rules     []string `json:"rules,omitempty"` // of the refusals
	Why       string   `json:"why,omitempty"`
	Functions int      `json:"functions,omitempty"` // replaced
	Seconds   float64  `json:"seconds"`             // that the build took
	Name      string   `json:"module"`
	Module    []byte   `json:"-"`
	patch     []byte
}

// inherent are the rules of refusals that no tool could do without: the change
// is more than one of function bodies.
var inherent = map[string]bool{
	"init": true, "data": true, "data-size": true, "registry": true, "layout": true, "early": true,
	"nvhe": true, "pi": true, "vdso": true, "efi-stub": true, "boot": true, "assembly": true,
}

// Patchable reports whether the change is one of function bodies alone, so that
// a hotpatch of it should exist.
func (i *Item) Patchable() bool {
	switch i.Outcome {
	case Nothing, Alone:
		return false
	case Refused:
		for _, r := range i.Rules {
			if inherent[r] {
				return false
			}
		}
	}
	return true
}

// Choose returns the changes of a sample: count of the C files that the kernel
// was compiled from, whose text is still that of base, and which differ in
// other; evenly spread over their names.
func Choose(k *hotbuild.Kernel, base, other string, count int) ([]*Item, error) {
	sources, err := k.Sources()
	if err != nil {
		return nil, err
	}
	var all []*Item
	for _, f := range sources {
		now, err := os.ReadFile(filepath.Join(k.Source, f))
		if err != nil {
			return nil, err
		}
		was, err1 := os.ReadFile(filepath.Join(base, f))
		then, err2 := os.ReadFile(filepath.Join(other, f))
		switch {
		case errors.Is(err1, fs.ErrNotExist) || errors.Is(err2, fs.ErrNotExist):
			continue
		case err1 != nil || err2 != nil:
			return nil, errors.Join(err1, err2)
		case !bytes.Equal(now, was) || bytes.Equal(now, then):
			continue
		}
		i := &Item{File: f, Name: moduleName(f), patch: diff.Diff("a/"+f, now, "b/"+f, then)}
		i.Lines = changed(i.patch)
		// The header line "diff a/f b/f" is Go's own; what follows is a diff.
		if _, rest, ok := bytes.Cut(i.patch, []byte("\n")); ok {
			i.patch = rest
		}
		all = append(all, i)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no file that this kernel was compiled from differs in %s", other)
	}
	sort.Slice(all, func(a, b int) bool { return all[a].File < all[b].File })
	if count <= 0 || count >= len(all) {
		return all, nil
	}
	var list []*Item
	for n := range count {
		list = append(list, all[n*len(all)/count])
	}
	return list, nil
}

func changed(patch []byte) int {
	n := 0
	for line := range bytes.Lines(patch) {
		if (line[0] == '+' || line[0] == '-') && !bytes.HasPrefix(line, []byte("---")) && !bytes.HasPrefix(line, []byte("+++")) {
			n++
		}
	}
	return n
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

// moduleName names the module for a file; the kernel allows 55 characters.
func moduleName(file string) string {
	n := "s_" + notInNames.ReplaceAllString(strings.TrimSuffix(file, ".c"), "_")
	return n[:min(len(n), 55)]
}

// Build makes the modules, jobs at a time, and tells of each when it is done.
func Build(ctx context.Context, k *hotbuild.Kernel, items []*Item, jobs int, tell func(*Item)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, jobs))
	var mu sync.Mutex
	for _, i := range items {
		g.Go(func() error {
			start := time.Now()
			if err := i.build(ctx, k); err != nil {
				return err
			}
			i.Seconds = time.Since(start).Seconds()
			mu.Lock()
			defer mu.Unlock()
			tell(i)
			return nil
		})
	}
	return g.Wait()
}

// build makes one module. Only that somebody interrupted it is an error.
func (i *Item) build(ctx context.Context, k *hotbuild.Kernel) error {
	p, err := hotbuild.ParsePatch(i.File+".patch", i.patch)
	if err != nil {
		return err
	}
	res, err := hotbuild.Build(ctx, hotbuild.Request{Kernel: k, Patches: []*hotbuild.Patch{p}, Name: i.Name, Version: "sample"})
	var compile *hotbuild.CompileError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, hotbuild.ErrNothing):
		i.Outcome = Nothing
	case errors.As(err, &compile) && strings.HasSuffix(compile.Target, ".o"):
		i.Outcome, i.Why = Alone, compile.Error()
	case err != nil:
		i.Outcome, i.Why = Broken, err.Error()
	case len(res.Refusals) > 0:
		i.Outcome, i.Why = Refused, res.Refusals[0].Error()
		for _, r := range res.Refusals {
			i.Rules = append(i.Rules, r.Rule)
		}
	default:
		i.Outcome, i.Module = Built, res.Module
		for _, o := range res.Manifest.Objects {
			i.Functions += len(o.Functions)
		}
	}
	return nil
}
