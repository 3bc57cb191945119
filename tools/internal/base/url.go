package base

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"

	"cloudkernel/tools/internal/progress"
)

// unpackURL downloads a tarball and unpacks it into dir, an entry being made.
func (g *getter) unpackURL(ctx context.Context, o Origin, dir string) error {
	if err := g.needSpace(dir); err != nil {
		return err
	}
	file := filepath.Join(dir, "download")
	defer os.Remove(file)
	if err := g.fetchURL(ctx, o.URL, file); err != nil {
		return err
	}
	return g.unpackFile(ctx, file, o.SHA256, dir, o.URL)
}

func (g *getter) fetchURL(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("download %s: the server answers %s", url, resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	bar := progress.New(g.out, "download "+path.Base(url), "B", max(resp.ContentLength, 0))
	n, err := io.Copy(io.MultiWriter(f, bar), resp.Body)
	bar.Done()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("download %s: broke off after %d bytes: %w", url, n, err)
	}
	return nil
}
