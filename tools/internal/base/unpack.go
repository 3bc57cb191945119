package base

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/sync/errgroup"

	"cloudkernel/tools/internal/proc"
	"cloudkernel/tools/internal/progress"
)

// hashFile returns the sha256 of a file's bytes.
func hashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, ctxReader{ctx, f}); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ctxReader ends when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// unpack extracts a tarball into dir, leaving out the directory that all its
// names begin with.
func unpack(ctx context.Context, tarball, dir string, out io.Writer) error {
	f, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	bar := progress.New(out, "unpack "+filepath.Base(tarball), "B", info.Size())
	defer bar.Done()
	r, closeR, err := decompress(ctx, io.TeeReader(ctxReader{ctx, f}, bar))
	if err != nil {
		return err
	}
	err = untar(ctx, r, dir)
	if cerr := closeR(); cerr != nil && ctx.Err() == nil {
		return cerr // the cause of what untar saw
	}
	return err
}

// decompress returns the content of a stream that may be compressed, told by
// its first bytes. close returns what went wrong in decompressing; it must be
// called.
func decompress(ctx context.Context, in io.Reader) (r io.Reader, closeFn func() error, err error) {
	br := bufio.NewReaderSize(in, 1<<20)
	magic, _ := br.Peek(6)
	nothing := func() error { return nil }
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		r, err = gzip.NewReader(br)
		return r, nothing, err
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bzip2.NewReader(br), nothing, nil
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		d, err := zstd.NewReader(br)
		if err != nil {
			return nil, nil, err
		}
		return d, func() error { d.Close(); return nil }, nil
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		return unxz(ctx, br)
	}
	return br, nothing, nil
}

// unxz runs xz(1), which uses every core, and falls back on a slower decoder
// where there is none.
func unxz(ctx context.Context, in io.Reader) (io.Reader, func() error, error) {
	if _, err := exec.LookPath("xz"); err != nil {
		r, err := xz.NewReader(in)
		return r, func() error { return nil }, err
	}
	cmd := proc.Command(ctx, "xz", "-dc", "-T0", "-qq")
	cmd.Stdin = in
	var msg bytes.Buffer
	cmd.Stderr = &msg
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return bufio.NewReaderSize(pipe, 1<<20), func() error {
		_, _ = io.Copy(io.Discard, pipe) // what follows the archive's end
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("xz: %w: the file is truncated or damaged %s", err, strings.TrimSpace(msg.String()))
		}
		return nil
	}, nil
}

// untar extracts a tar stream into dir. A name that leads outside is refused;
// symbolic links are made last, so that nothing is written through one.
func untar(ctx context.Context, r io.Reader, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	type link struct{ name, target string }
	var links []link
	made := map[string]bool{"": true, ".": true}
	mkdir := func(name string) error {
		if made[name] {
			return nil
		}
		made[name] = true
		return os.MkdirAll(filepath.Join(dir, name), 0o755)
	}
	files := 0
	end := &tail{r: r}
	err := func() error {
		tr := tar.NewReader(end)
		for {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				return end.check()
			}
			if err != nil {
				return fmt.Errorf("read the archive: %w", err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			name := path.Clean(strings.TrimPrefix(h.Name, "./"))
			_, name, ok := strings.Cut(name, "/")
			if h.Typeflag == tar.TypeXGlobalHeader || !ok {
				continue // the top directory itself
			}
			if !fs.ValidPath(name) {
				return fmt.Errorf("the archive holds a bad name %q", h.Name)
			}
			switch h.Typeflag {
			case tar.TypeDir:
				if err := mkdir(name); err != nil {
					return err
				}
			case tar.TypeSymlink:
				links = append(links, link{name, h.Linkname})
			case tar.TypeReg:
				if err := mkdir(path.Dir(name)); err != nil {
					return err
				}
				data := make([]byte, h.Size)
				if _, err := io.ReadFull(tr, data); err != nil {
					return fmt.Errorf("read %s in the archive: %w", name, err)
				}
				files++
				group.Go(func() error { return writeFile(filepath.Join(dir, name), data, h) })
			default:
				return fmt.Errorf("the archive holds %s, which is no file, directory or symbolic link", h.Name)
			}
		}
	}()
	if werr := group.Wait(); werr != nil {
		return werr
	}
	if err != nil {
		return err
	}
	if files == 0 {
		return errors.New("the archive holds no files")
	}
	for _, l := range links {
		if err := mkdir(path.Dir(l.name)); err != nil {
			return err
		}
		if err := os.Symlink(l.target, filepath.Join(dir, l.name)); err != nil {
			return err
		}
	}
	return nil
}

// tail remembers the last kilobyte read. An archive ends with that much of
// zeros; archive/tar also takes the bare end of a file for its end, which is
// where a truncated one may happen to be cut.
type tail struct {
	r    io.Reader
	last []byte
}

func (t *tail) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.last = append(t.last, p[max(n-1024, 0):n]...)
	if over := len(t.last) - 1024; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return n, err
}

func (t *tail) check() error {
	if len(t.last) < 1024 || len(bytes.Trim(t.last, "\x00")) > 0 {
		return fmt.Errorf("read the archive: it has no end, so it was cut off: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

// writeFile writes one file with the mode and the time the archive gives it,
// so that a tree unpacked again looks no newer to make.
func writeFile(path string, data []byte, h *tar.Header) error {
	mode := fs.FileMode(0o644)
	if h.Mode&0o111 != 0 {
		mode = 0o755
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Chtimes(path, h.ModTime, h.ModTime)
}
