package base

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeApt is a package archive. Its own lists may be older than what update
// fetches.
type fakeApt struct {
	stale   []string          // versions that the machine's lists have
	fresh   []string          // versions that fresh lists have
	debs    map[string][]byte // packages that can be downloaded, by version
	offline bool
	updates int
	fetched []string
}

func (a *fakeApt) offers(_ context.Context, lists, _ string) ([]string, error) {
	if lists == "" {
		return a.stale, nil
	}
	return a.fresh, nil
}

func (a *fakeApt) update(context.Context, string) error {
	a.updates++
	if a.offline {
		return errors.New("could not resolve the archive's name")
	}
	return nil
}

func (a *fakeApt) download(_ context.Context, _, pkg, version, dir string) error {
	a.fetched = append(a.fetched, version)
	deb, ok := a.debs[version]
	if !ok {
		return errors.New("404 Not Found")
	}
	return os.WriteFile(filepath.Join(dir, pkg+".deb"), deb, 0o644)
}

func (a *fakeApt) size(context.Context, string, string, string) int64 { return 1 }

// makeDeb returns a Debian package with a kernel tarball in it.
func makeDeb(t *testing.T, tarball []byte) []byte {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("no dpkg-deb on this machine")
	}
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for _, e := range []entry{{"./usr/share/doc/x", "doc", 0o644, tar.TypeReg}, {"./usr/src/linux-source-6.12.tar.xz", string(tarball), 0o644, tar.TypeReg}} {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.data)), Typeflag: e.kind}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var deb bytes.Buffer
	deb.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.xz", xzData(t, kernelTar(t, "0.0.0"))}, {"data.tar.xz", xzData(t, data.Bytes())}} {
		fmt.Fprintf(&deb, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		deb.Write(m.data)
		if len(m.data)%2 == 1 {
			deb.WriteByte('\n')
		}
	}
	return deb.Bytes()
}

const (
	want117 = "6.12.117-1~deb12u1"
	have120 = "6.12.120-1~deb12u1"
)

func TestPackage(t *testing.T) {
	tarball := xzData(t, kernelTar(t, "6.12.117"))
	deb := makeDeb(t, tarball)
	pin := pinned(Origin{Name: "debian", Package: "linux-source-6.12", Release: want117, SHA256: digest(tarball)})
	all := []string{have120, want117, "6.12.115-2~deb12u1"}
	for _, c := range []struct {
		name    string
		apt     fakeApt
		updates int
		err     string
	}{
		{"there", fakeApt{stale: all, debs: map[string][]byte{want117: deb}}, 0, ""},
		{"only in fresh lists", fakeApt{fresh: all, debs: map[string][]byte{want117: deb}}, 1, ""},
		{"lists that promise what is gone", fakeApt{stale: all, fresh: all}, 1, "404 Not Found"},
		{"no network", fakeApt{offline: true}, 1, "fresh package lists could not be fetched: could not resolve"},
		{"no such package anywhere", fakeApt{}, 1, "apt knows no package linux-source-6.12, even with fresh lists"},
		{"truncated", fakeApt{stale: all, debs: map[string][]byte{want117: deb[:len(deb)/2]}}, 0, "truncated or damaged"},
		{"another tarball in it", fakeApt{stale: all, debs: map[string][]byte{want117: makeDeb(t, xzData(t, kernelTar(t, "6.12.118")))}}, 0, "wanted " + digest(tarball)},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, _ := lab(t, pin)
			g.apt = &c.apt
			src, release, err := g.get(t.Context())
			if err == nil {
				release()
			}
			switch {
			case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Fatalf("error %v, want %q", err, c.err)
			case c.err == "" && (src.Digest != digest(tarball) || src.Substitute):
				t.Errorf("%+v", src)
			}
			if c.apt.updates != c.updates {
				t.Errorf("lists fetched %d times, want %d", c.apt.updates, c.updates)
			}
			if left, _ := filepath.Glob(filepath.Join(g.st.Dir(), kind, ".tmp-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestSubstitute has the archive drop the pinned release: the newest of the
// same line comes instead, loudly, and is kept too.
func TestSubstitute(t *testing.T) {
	deb := makeDeb(t, xzData(t, kernelTar(t, "6.12.120")))
	apt := &fakeApt{
		stale: []string{"6.18.5-1", "6.12.119-1", have120, "6.12.9-1", "6.1.150-1"},
		debs:  map[string][]byte{have120: deb},
	}
	apt.fresh = apt.stale
	g, out := lab(t, pinned(
		Origin{Name: "installed", File: "/nowhere", SHA256: digestA},
		Origin{Name: "debian", Package: "linux-source-6.12", Release: want117, SHA256: digestA}))
	g.apt = apt
	for range 2 {
		out.Reset()
		src, release, err := g.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		release()
		if src.Version != "6.12.120" || !src.Substitute || !digestRE.MatchString(src.Digest) {
			t.Errorf("%+v", src)
		}
		for _, want := range []string{"WARNING: Linux 6.12.117", "using Linux 6.12.120", "apt no longer offers linux-source-6.12 " + want117} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("it says %q, which lacks %q", out, want)
			}
		}
	}
	if !slices.Equal(apt.fetched, []string{have120}) {
		t.Errorf("downloaded %v", apt.fetched)
	}
	g.opt.Base = "installed"
	if _, _, err := g.get(t.Context()); err == nil {
		t.Error("a source that was asked for by name was replaced by another")
	}
}

func TestParseMadison(t *testing.T) {
	const out = ` linux-source-6.12 | 6.12.117-1~deb12u1 | http://example.org/debian-security bookworm-security/main amd64 Packages
 linux-source-6.12 | 6.12.117-1~deb12u1 | http://example.org/debian bookworm/main amd64 Packages
 linux-source-6.12 | 6.12.115-2~deb12u1 | http://example.org/debian-security bookworm-security/main amd64 Packages
     linux-6.12 | 6.12.117-1~deb12u1 | http://example.org/debian-security bookworm-security/main Sources
N: a notice
`
	want := []string{"6.12.117-1~deb12u1", "6.12.115-2~deb12u1"}
	if got := parseMadison(out); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if got := newest([]string{"6.12.99-1", "6.12.100-2", "6.12.100-1", "6.13.1-1"}, "6.12"); got != "6.12.100-2" {
		t.Errorf("newest is %s", got)
	}
}

// TestRealApt gets the pinned package's entry from this machine's apt, when
// asked to: it downloads 150 MB.
func TestRealApt(t *testing.T) {
	if os.Getenv("CLOUDKERNEL_TEST_NETWORK") == "" {
		t.Skip("set CLOUDKERNEL_TEST_NETWORK=1 to download 150 MB through apt")
	}
	pin, err := ReadPin("../../../kernel-patches/base")
	if err != nil {
		t.Fatal(err)
	}
	g, _ := lab(t, pin)
	g.apt, g.opt.Base, g.out = aptTool{}, "debian", os.Stderr
	src, release, err := g.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if src.Version != pin.Version {
		t.Errorf("got %s", src.Version)
	}
}
