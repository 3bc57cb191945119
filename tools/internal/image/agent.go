package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/proc"
	"cloudkernel/tools/internal/store"
)

// Maker makes images, in and from a store.
type Maker struct {
	Store *store.Store
	Repo  string // directory of the repository, which the agent is built from
	// Progress is where a person may read what takes long; nil is nowhere.
	Progress io.Writer
}

// agent builds the agent for a and returns it. go build looks whether there is
// anything to do; then this takes a quarter of a second.
func (m *Maker) agent(ctx context.Context, a *arch.Arch) ([]byte, error) {
	release, err := m.Store.Lock(ctx, "agent", a.Name, nil)
	if err != nil {
		return nil, err
	}
	defer release()
	out := filepath.Join(m.Store.Dir(), "agent", a.Name+".build")
	cmd := proc.Command(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-buildvcs=false", "-o", out, "./tools/cmd/guest")
	cmd.Dir = m.Repo
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+a.GOARCH, "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest's agent for %s: %w\n%s", a, err, strings.TrimSpace(string(text)))
	}
	return os.ReadFile(out)
}
