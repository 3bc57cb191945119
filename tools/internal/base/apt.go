package base

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cloudkernel/tools/internal/proc"
	"cloudkernel/tools/internal/progress"
)

// goneError says that apt knows the package but not the wanted version of it.
type goneError struct {
	pkg, version string
	offers       []string // versions that apt has, the newest first
}

func (e *goneError) Error() string {
	return fmt.Sprintf("apt no longer offers %s %s; it has %s", e.pkg, e.version, strings.Join(e.offers, ", "))
}

// apt is what the package asks of Debian's package manager.
type apt interface {
	// offers lists the versions of a package, the newest first. lists is a
	// directory with package lists of our own, or "" for the machine's.
	offers(ctx context.Context, lists, pkg string) ([]string, error)
	// update fetches fresh package lists into a directory of our own.
	update(ctx context.Context, lists string) error
	// download leaves the package as the only .deb file in dir.
	download(ctx context.Context, lists, pkg, version, dir string) error
	// size returns the size of a package in bytes, 0 when it is not known.
	size(ctx context.Context, lists, pkg, version string) int64
}

// unpackPackage gets a Debian package through apt and unpacks the tarball in
// it into dir, an entry being made.
func (g *getter) unpackPackage(ctx context.Context, pkg, version, digest, dir string) error {
	if err := g.needSpace(dir); err != nil {
		return err
	}
	tmp := filepath.Join(dir, "download")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	deb, err := g.download(ctx, pkg, version, tmp)
	if err != nil {
		return err
	}
	tarball, err := sourceInPackage(ctx, deb, tmp)
	if err != nil {
		return err
	}
	if err := os.Remove(deb); err != nil {
		return err
	}
	return g.unpackFile(ctx, tarball, digest, dir, "Debian package "+pkg+" "+version)
}

// download fetches a package. The machine's package lists may be missing or
// old, and refreshing them needs root; so when they do not have the version, or
// what they promise cannot be fetched, it tries once more with lists of its own.
func (g *getter) download(ctx context.Context, pkg, version, tmp string) (deb string, err error) {
	lists := ""
	var first error
	for {
		offers, err := g.apt.offers(ctx, lists, pkg)
		if err == nil {
			err = has(offers, pkg, version)
		}
		if err == nil {
			if deb, err = g.downloadOnce(ctx, lists, pkg, version, tmp); err == nil {
				return deb, nil
			}
		}
		var gone *goneError
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case errors.Is(err, exec.ErrNotFound):
			return "", &unavailable{"this machine has no apt"}
		case lists != "" && errors.As(err, &gone) && len(gone.offers) == 0:
			return "", &unavailable{fmt.Sprintf("apt knows no package %s, even with fresh lists", pkg)}
		case lists != "":
			return "", err
		}
		first = err
		lists = filepath.Join(tmp, "lists")
		fmt.Fprintf(g.out, "%v: fetching fresh package lists\n", first)
		if err := g.apt.update(ctx, lists); err != nil {
			return "", fmt.Errorf("%w; and fresh package lists could not be fetched: %w", first, err)
		}
	}
}

func has(offers []string, pkg, version string) error {
	for _, v := range offers {
		if v == version {
			return nil
		}
	}
	return &goneError{pkg, version, offers}
}

func (g *getter) downloadOnce(ctx context.Context, lists, pkg, version, tmp string) (string, error) {
	dir := filepath.Join(tmp, "deb")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	bar := progress.New(g.out, "download "+pkg, "B", g.apt.size(ctx, lists, pkg, version))
	stop := watchSize(bar, dir)
	err := g.apt.download(ctx, lists, pkg, version, dir)
	stop()
	bar.Done()
	if err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("apt said it downloaded %s %s, but left %d packages", pkg, version, len(debs))
	}
	return debs[0], nil
}

// watchSize moves a bar with the size of the files in dir until it is stopped.
func watchSize(bar *progress.Bar, dir string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var seen int64
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			var now int64
			files, _ := os.ReadDir(dir)
			for _, f := range files {
				if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
					now += info.Size()
				}
			}
			if now > seen {
				bar.Add(now - seen)
				seen = now
			}
		}
	}()
	return func() { close(done); <-ended }
}

// sourceInPackage extracts usr/src/linux-source-*.tar.* of a package to dir.
func sourceInPackage(ctx context.Context, deb, dir string) (string, error) {
	cmd := proc.Command(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	var msg bytes.Buffer
	cmd.Stderr = &msg
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	found, err := extractSource(pipe, dir)
	_, _ = io.Copy(io.Discard, pipe)
	if werr := cmd.Wait(); werr != nil {
		return "", fmt.Errorf("dpkg-deb: %w: the package is truncated or damaged: %s", werr, strings.TrimSpace(msg.String()))
	}
	if err == nil && found == "" {
		err = fmt.Errorf("%s holds no usr/src/linux-source tarball", filepath.Base(deb))
	}
	return found, err
}

func extractSource(r io.Reader, dir string) (string, error) {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("read the package: %w", err)
		}
		name := path.Clean(h.Name)
		if ok, _ := path.Match("usr/src/linux-source-*.tar.*", name); !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		f, err := os.Create(filepath.Join(dir, path.Base(name)))
		if err != nil {
			return "", err
		}
		if _, err := io.Copy(f, tr); err != nil {
			f.Close()
			return "", fmt.Errorf("extract %s: %w", name, err)
		}
		return f.Name(), f.Close()
	}
}

// substitute gets the newest release of the pinned longterm line that apt
// offers. Nobody has pinned its
// digest, so the package and its version name it.
func (g *getter) substitute(ctx context.Context, o Origin, why []string) (*Source, func(), error) {
	offers, err := g.apt.offers(ctx, "", o.Package)
	if err != nil {
		return nil, nil, err
	}
	release := newest(offers, line(g.pin.Version))
	if release == "" {
		return nil, nil, fmt.Errorf("apt offers no %s release", line(g.pin.Version))
	}
	version, _, _ := strings.Cut(release, "-")
	fmt.Fprintf(g.out, "WARNING: Linux %s, which kernel-patches/base pins, cannot be had:\n  %s\nWARNING: using Linux %s (%s %s) instead; results are not those of the pinned base\n",
		g.pin.Version, strings.Join(why, "\n  "), version, o.Package, release)
	src, done, err := g.entry(ctx, substituteKey(o.Package, release), version, func(dir string) error {
		return g.unpackPackage(ctx, o.Package, release, "", dir)
	})
	if err != nil {
		return nil, nil, err
	}
	src.Substitute = true
	return src, done, nil
}

// newest returns the newest version of a longterm line, told by its point
// release; of equal ones the first, since offers come newest first.
func newest(offers []string, line string) string {
	best, bestN := "", -1
	for _, v := range offers {
		upstream, _, _ := strings.Cut(v, "-")
		rest, ok := strings.CutPrefix(upstream, line+".")
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(rest); err == nil && n > bestN {
			best, bestN = v, n
		}
	}
	return best
}

// aptTool is apt as it is installed.
type aptTool struct{}

func (aptTool) args(lists string, args ...string) []string {
	out := []string{"-q", "-o", "APT::Get::AllowUnauthenticated=false"}
	if os.Geteuid() == 0 {
		// Root's downloads would otherwise be made as _apt, who cannot
		// write to the store.
		out = append(out, "-o", "APT::Sandbox::User=root")
	}
	if lists != "" {
		out = append(out, "-o", "Dir::State="+lists, "-o", "Dir::State::status=/var/lib/dpkg/status",
			"-o", "Dir::Cache="+filepath.Join(lists, "cache"))
	}
	return append(out, args...)
}

func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := proc.Command(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(msg.String())
		if text == "" {
			text = strings.TrimSpace(out.String())
		}
		return "", fmt.Errorf("%s: %w: %s", name, err, text)
	}
	return out.String(), nil
}

func (a aptTool) offers(ctx context.Context, lists, pkg string) ([]string, error) {
	out, err := run(ctx, "", "apt-cache", a.args(lists, "madison", pkg)...)
	if err != nil {
		return nil, err
	}
	return parseMadison(out), nil
}

// parseMadison reads "package | version | archive" lines, leaving out what is
// no binary package and what was listed before.
func parseMadison(out string) []string {
	var versions []string
	seen := map[string]bool{}
	sc := bufio.NewScanner(strings.NewReader(out))
	for sc.Scan() {
		f := strings.Split(sc.Text(), "|")
		if len(f) != 3 || !strings.Contains(f[2], " Packages") {
			continue
		}
		if v := strings.TrimSpace(f[1]); v != "" && !seen[v] {
			seen[v] = true
			versions = append(versions, v)
		}
	}
	return versions
}

func (a aptTool) update(ctx context.Context, lists string) error {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(lists, d), 0o755); err != nil {
			return err
		}
	}
	_, err := run(ctx, "", "apt-get", a.args(lists, "update")...)
	return err
}

func (a aptTool) download(ctx context.Context, lists, pkg, version, dir string) error {
	_, err := run(ctx, dir, "apt-get", a.args(lists, "download", pkg+"="+version)...)
	return err
}

func (a aptTool) size(ctx context.Context, lists, pkg, version string) int64 {
	out, err := run(ctx, "", "apt-cache", a.args(lists, "show", pkg+"="+version)...)
	if err != nil {
		return 0
	}
	for _, l := range strings.Split(out, "\n") {
		if s, ok := strings.CutPrefix(l, "Size: "); ok {
			n, _ := strconv.ParseInt(s, 10, 64)
			return n
		}
	}
	return 0
}

// substituteKey names the store's entry of a package that no pin has a digest
// for: apt vouches for what the version means.
func substituteKey(pkg, version string) string {
	sum := sha256.Sum256([]byte("debian package " + pkg + " " + version))
	return hex.EncodeToString(sum[:])
}
