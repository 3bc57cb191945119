package base

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/store"
)

// entry is a member of a test's archive.
type entry struct {
	name, data string
	mode       int64
	kind       byte
}

// kernelTar returns an archive that looks like the kernel's.
func kernelTar(t testing.TB, version string, more ...entry) []byte {
	t.Helper()
	v := strings.Split(version, ".")
	entries := append([]entry{
		{"linux-source-6.12/", "", 0o755, tar.TypeDir},
		{"linux-source-6.12/Makefile", fmt.Sprintf("# SPDX\nVERSION = %s\nPATCHLEVEL = %s\nSUBLEVEL = %s\nEXTRAVERSION =\nNAME = Baby\n", v[0], v[1], v[2]), 0o644, tar.TypeReg},
		{"linux-source-6.12/scripts/dtc/include-prefixes/arm", "../../../arch/arm/boot/dts", 0o777, tar.TypeSymlink},
		{"linux-source-6.12/scripts/run.sh", "#!/bin/sh\n", 0o755, tar.TypeReg},
	}, more...)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Typeflag: e.kind, ModTime: time.Unix(1700000000, 0)}
		if e.kind == tar.TypeSymlink {
			h.Linkname = e.data
		} else {
			h.Size = int64(len(e.data))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(e.data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func xzData(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func file(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// lab is a getter on an empty store.
func lab(t testing.TB, pin *Pin) (*getter, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	return &getter{st: store.Open(t.TempDir()), pin: pin, out: &out, free: freeBytes, apt: noApt{}}, &out
}

func pinned(o ...Origin) *Pin { return &Pin{Version: "6.12.117", Sources: o} }

// noApt is a machine without apt.
type noApt struct{}

func (noApt) offers(context.Context, string, string) ([]string, error) {
	return nil, fmt.Errorf("apt-cache: %w", exec.ErrNotFound)
}
func (noApt) update(context.Context, string) error                           { return exec.ErrNotFound }
func (noApt) download(context.Context, string, string, string, string) error { return exec.ErrNotFound }
func (noApt) size(context.Context, string, string, string) int64             { return 0 }

func TestGetUnpacksOnce(t *testing.T) {
	data := xzData(t, kernelTar(t, "6.12.117"))
	path := file(t, "linux.tar.xz", data)
	g, _ := lab(t, pinned(Origin{Name: "installed", File: path, SHA256: digest(data)}))
	src, release, err := g.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
	if src.Version != "6.12.117" || src.Digest != digest(data) || src.Substitute || src.From != "file "+path {
		t.Errorf("%+v", src)
	}
	info, err := os.Stat(filepath.Join(src.Dir, "scripts/run.sh"))
	if err != nil || info.Mode().Perm() != 0o755 || !info.ModTime().Equal(time.Unix(1700000000, 0)) {
		t.Errorf("run.sh: %v %v", info, err)
	}
	if target, err := os.Readlink(filepath.Join(src.Dir, "scripts/dtc/include-prefixes/arm")); err != nil || target != "../../../arch/arm/boot/dts" {
		t.Errorf("link to %q, %v", target, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	again, release, err := g.get(t.Context())
	if err != nil {
		t.Fatalf("with the source gone: %v", err)
	}
	release()
	if again.Dir != src.Dir {
		t.Error("unpacked twice")
	}
}

func TestGetFormats(t *testing.T) {
	plain := kernelTar(t, "6.12.117")
	var gz, zst bytes.Buffer
	zw := gzip.NewWriter(&gz)
	_, _ = zw.Write(plain)
	_ = zw.Close()
	sw, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = sw.Write(plain)
	_ = sw.Close()
	for name, data := range map[string][]byte{"tar": plain, "gz": gz.Bytes(), "zst": zst.Bytes(), "xz": xzData(t, plain)} {
		t.Run(name, func(t *testing.T) {
			g, _ := lab(t, pinned(Origin{Name: "x", URL: "http://x"}))
			g.opt.Base = file(t, "linux."+name, data)
			src, release, err := g.get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			release()
			if src.Version != "6.12.117" || src.Digest != digest(data) {
				t.Errorf("%+v", src)
			}
		})
	}
	t.Run("xz without xz(1)", func(t *testing.T) {
		t.Setenv("PATH", "")
		g, _ := lab(t, pinned(Origin{Name: "x", URL: "http://x"}))
		g.opt.Base = file(t, "linux.xz", xzData(t, plain))
		_, release, err := g.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		release()
	})
}

// TestBadArchives shows that what is damaged or dangerous is refused with a
// clear error, and that nothing of it stays.
func TestBadArchives(t *testing.T) {
	good := kernelTar(t, "6.12.117")
	packed := xzData(t, good)
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"truncated", "truncated or damaged", packed[:len(packed)/2]},
		{"flipped", "truncated or damaged", append(append(bytes.Clone(packed[:len(packed)/2]), packed[len(packed)/2]^0xff), packed[len(packed)/2+1:]...)},
		{"truncated tar", "unexpected EOF", good[:len(good)/2]},
		{"text", "read the archive", []byte(strings.Repeat("this is a login page\n", 100))},
		{"empty", "it has no end", nil},
		{"outside", "bad name", kernelTar(t, "6.12.117", entry{"linux/../../../etc/passwd", "x", 0o644, tar.TypeReg})},
		{"device", "no file, directory or symbolic link", kernelTar(t, "6.12.117", entry{"linux/dev", "", 0o644, tar.TypeChar})},
		{"twice", "exists", kernelTar(t, "6.12.117", entry{"linux/Makefile", "x", 0o644, tar.TypeReg})},
		{"another release", "it holds Linux 6.12.118, wanted 6.12.117", kernelTar(t, "6.12.118")},
		{"no kernel", "no kernel source tree", kernelTar(t, "6.12.117")[2048:]},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, _ := lab(t, pinned(Origin{Name: "installed", File: file(t, "x.tar", c.data), SHA256: digest(c.data)}))
			_, _, err := g.get(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if list, _ := g.st.List(); len(list) != 0 {
				t.Errorf("the store holds %v", list)
			}
		})
	}
}

// TestDamagedDownloadReplacesNothing gets a good base, then has the source go
// bad under another name for the same content.
func TestDamagedDownloadReplacesNothing(t *testing.T) {
	data := xzData(t, kernelTar(t, "6.12.117"))
	serve := data
	hits := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits++
		_, _ = w.Write(serve)
	}))
	defer srv.Close()
	g, _ := lab(t, pinned(Origin{Name: "kernel.org", URL: srv.URL + "/linux.tar.xz", SHA256: digest(data)}))
	serve = data[:len(data)-100]
	if _, _, err := g.get(t.Context()); err == nil || !strings.Contains(err.Error(), "wanted "+digest(data)) {
		t.Errorf("a truncated download: %v", err)
	}
	serve = data
	src, release, err := g.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
	serve = []byte("gone")
	again, release, err := g.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
	if again.Dir != src.Dir || hits != 2 {
		t.Errorf("%d downloads, want 2", hits)
	}
}

func TestURLErrors(t *testing.T) {
	data := xzData(t, kernelTar(t, "6.12.117"))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:100])
			return
		}
		http.NotFound(w, r)
	}))
	defer srv.Close()
	for path, want := range map[string]string{"/short": "broke off after 100 bytes", "/gone": "404 Not Found"} {
		g, _ := lab(t, pinned(Origin{Name: "kernel.org", URL: srv.URL + path, SHA256: digest(data)}))
		if _, _, err := g.get(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", path, err, want)
		}
	}
}

// TestNoDigest shows that a source whose digest nobody confirmed is used only
// with one that the user gives.
func TestNoDigest(t *testing.T) {
	data := xzData(t, kernelTar(t, "6.12.117"))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }))
	defer srv.Close()
	g, _ := lab(t, pinned(Origin{Name: "kernel.org", URL: srv.URL}))
	if _, _, err := g.get(t.Context()); err == nil || !strings.Contains(err.Error(), "give --base kernel.org --base-sha256") {
		t.Errorf("error %v", err)
	}
	g.opt = Options{Base: "kernel.org", SHA256: digest(data)}
	_, release, err := g.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
	g.opt.SHA256 = "abc"
	if _, _, err := g.get(t.Context()); err == nil || !strings.Contains(err.Error(), "is no sha256") {
		t.Errorf("error %v", err)
	}
}

func TestNoSpace(t *testing.T) {
	data := xzData(t, kernelTar(t, "6.12.117"))
	path := file(t, "linux.tar.xz", data)
	pin := pinned(Origin{Name: "installed", File: path, SHA256: digest(data)}, Origin{Name: "second", File: path, SHA256: digestA})
	g, _ := lab(t, pin)
	g.free = func(string) (int64, error) { return 1e9, nil }
	_, _, err := g.get(t.Context())
	if err == nil || !strings.Contains(err.Error(), "has 1.0 GB free, the unpacked kernel source needs 2.1 GB") || outcome.Of(err) != outcome.Infra {
		t.Errorf("error %v with outcome %s", err, outcome.Of(err))
	}
	if err != nil && strings.Contains(err.Error(), "source second") {
		t.Error("it tried another source, which cannot help")
	}
}

func TestErrorListsEverySource(t *testing.T) {
	st := store.Open(t.TempDir())
	pin := pinned(
		Origin{Name: "installed", File: "/nowhere/linux.tar.xz", SHA256: digestA},
		Origin{Name: "kernel.org", URL: "http://x"})
	_, _, err := Get(t.Context(), st, pin, Options{})
	for _, want := range []string{"no source has Linux 6.12.117", "source installed: /nowhere/linux.tar.xz is not there", "source kernel.org: no sha256 is pinned", "--base PATH"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if outcome.Of(err) != outcome.Infra {
		t.Errorf("outcome %s", outcome.Of(err))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Get(ctx, st, pin, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestTwoAtOnce has several getters ask for the same base.
func TestTwoAtOnce(t *testing.T) {
	data := xzData(t, kernelTar(t, "6.12.117"))
	pin := pinned(Origin{Name: "installed", File: file(t, "linux.tar.xz", data), SHA256: digest(data)})
	st := store.Open(t.TempDir())
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			src, release, err := Get(t.Context(), st, pin, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			if _, err := os.Stat(filepath.Join(src.Dir, "Makefile")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestLocalTree(t *testing.T) {
	g, _ := lab(t, pinned(Origin{Name: "debian", URL: "http://x"}))
	dir := t.TempDir()
	if err := untar(t.Context(), bytes.NewReader(kernelTar(t, "6.12.200")), dir); err != nil {
		t.Fatal(err)
	}
	get := func() (*Source, error) {
		g.opt.Base = dir
		src, release, err := g.get(t.Context())
		if err == nil {
			release()
		}
		return src, err
	}
	src, err := get()
	if err != nil {
		t.Fatal(err)
	}
	if src.Dir != dir || src.Version != "6.12.200" || !digestRE.MatchString(src.Digest) {
		t.Errorf("%+v", src)
	}
	if again, err := get(); err != nil || again.Digest != src.Digest {
		t.Errorf("digest %s, then %s (%v)", src.Digest, again.Digest, err)
	}
	seen := map[string]bool{src.Digest: true}
	for _, change := range []func() error{
		func() error { return os.WriteFile(filepath.Join(dir, "Kconfig"), []byte("x\n"), 0o644) },
		func() error { return os.WriteFile(filepath.Join(dir, "Kconfig"), []byte("yy\n"), 0o644) },
		func() error { return os.Chmod(filepath.Join(dir, "Kconfig"), 0o755) },
		func() error { return os.Rename(filepath.Join(dir, "Kconfig"), filepath.Join(dir, "Kbuild")) },
		func() error { return os.Symlink("Makefile", filepath.Join(dir, "link")) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		src, err := get()
		if err != nil {
			t.Fatal(err)
		}
		if seen[src.Digest] {
			t.Errorf("the digest does not change with the tree")
		}
		seen[src.Digest] = true
	}
	if err := os.WriteFile(filepath.Join(dir, ".config"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := get(); err == nil || !strings.Contains(err.Error(), "make mrproper") {
		t.Errorf("a tree that was built in: %v", err)
	}
	for base, want := range map[string]string{t.TempDir(): "no kernel source tree", "/nowhere": "neither a file or directory nor a source of kernel-patches/base (debian)"} {
		g.opt.Base = base
		if _, _, err := g.get(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", base, err)
		}
	}
}

func TestLocalTarballDigest(t *testing.T) {
	data := xzData(t, kernelTar(t, "6.12.117"))
	g, _ := lab(t, pinned(Origin{Name: "x", URL: "http://x"}))
	g.opt = Options{Base: file(t, "linux.tar.xz", data), SHA256: digestA}
	if _, _, err := g.get(t.Context()); err == nil || !strings.Contains(err.Error(), "--base-sha256 says "+digestA) {
		t.Errorf("error %v", err)
	}
	g.opt.SHA256 = digest(data)
	_, release, err := g.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestDamagedEntry(t *testing.T) {
	data := xzData(t, kernelTar(t, "6.12.117"))
	g, _ := lab(t, pinned(Origin{Name: "installed", File: file(t, "linux.tar.xz", data), SHA256: digest(data)}))
	src, release, err := g.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
	if err := os.Remove(filepath.Join(src.Dir, "Makefile")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.get(t.Context()); err == nil || !strings.Contains(err.Error(), "damaged") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// TestInterrupted ends the context in the middle of a download: nothing stays
// that looks like a base, and the next call gets one.
func TestInterrupted(t *testing.T) {
	data := xzData(t, kernelTar(t, "6.12.117"))
	half, whole := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(data[:len(data)/2])
		select {
		case <-whole:
		default:
			w.(http.Flusher).Flush()
			close(half)
			<-r.Context().Done()
			return
		}
		_, _ = w.Write(data[len(data)/2:])
	}))
	defer srv.Close()
	g, _ := lab(t, pinned(Origin{Name: "kernel.org", URL: srv.URL, SHA256: digest(data)}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-half; cancel() }()
	if _, _, err := g.get(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	if list, _ := g.st.List(); len(list) != 0 {
		t.Errorf("the store holds %v", list)
	}
	if left, _ := filepath.Glob(filepath.Join(g.st.Dir(), "*", ".tmp-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	close(whole)
	_, release, err := g.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
}
