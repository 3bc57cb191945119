package image

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/arch"
)

func TestParseAlternatives(t *testing.T) {
	const script = `#!/bin/sh
set -e
case "$1" in
configure)
	update-alternatives --quiet --install /usr/bin/awk awk /usr/bin/mawk 5 \
	    --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz \
	    --slave /usr/bin/nawk nawk /usr/bin/mawk
	;;
esac
update-alternatives --install "/usr/bin/pager" pager '/bin/more' 50;
update-alternatives --install /usr/bin/$name $name /usr/bin/real 10
update-alternatives --install /usr/bin/x x /usr/bin/real many
update-alternatives --remove awk /usr/bin/mawk
# update-alternatives
update-alternatives --install
`
	want := []alternative{
		{link: "/usr/bin/awk", name: "awk", target: "/usr/bin/mawk", priority: 5, slaves: [][2]string{
			{"/usr/share/man/man1/awk.1.gz", "/usr/share/man/man1/mawk.1.gz"},
			{"/usr/bin/nawk", "/usr/bin/mawk"},
		}},
		{link: "/usr/bin/pager", name: "pager", target: "/bin/more", priority: 50},
	}
	if diff := cmp.Diff(want, parseAlternatives(script), cmp.AllowUnexported(alternative{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseURIs(t *testing.T) {
	out := `'http://deb.example/z_1%3a2_all.deb' z_1%3a2_all.deb 10 SHA256:00
'http://deb.example/a_1_arm64.deb' a_1_arm64.deb 2048 MD5Sum:00
`
	list, err := parseURIs(out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]deb{{"a_1_arm64.deb", 2048}, {"z_1%3a2_all.deb", 10}}, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if list, err := parseURIs("\nReading package lists...\n"); err != nil || len(list) != 0 {
		t.Errorf("of nothing: %v, %v", list, err)
	}
	if _, err := parseURIs("'u' f many"); err == nil {
		t.Error("a size that is none was accepted")
	}
}

func TestPackageNames(t *testing.T) {
	for name, want := range map[string]bool{
		"qemu-system-arm": true, "libstdc++6": true, "runc=1.1.5+ds1-1+b1": true, "hello/stable": true,
		"": false, "a": false, "-o": false, "--help": false, "hello-": false, "Hello": false, "a b": false, "~nfoo": false, "hello:amd64": false,
	} {
		if got := validPackage(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// root makes a tree of files, and symbolic links where the text begins with ->.
func root(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFixUp(t *testing.T) {
	dir := root(t, map[string]string{
		"etc/ld.so.conf.d/blas.conf":                     "# a comment\n/usr/lib/aarch64-linux-gnu/blas\n/usr/lib/aarch64-linux-gnu\n",
		"usr/lib/aarch64-linux-gnu/blas/libblas.so.3":    "lib",
		"usr/lib/aarch64-linux-gnu/blas/libblas.so.3.11": "lib",
		"usr/lib/aarch64-linux-gnu/libblas.so.3.11":      "there before",
		"usr/share/base-passwd/passwd.master":            "root:*:0:0:root:/root:/bin/bash\nsys:*:3:3:sys:/dev:/usr/sbin/nologin\n",
		"etc/hosts":                                      "its own\n",
	})
	if err := fixUp(t.Context(), arch.ARM64, nil, dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"etc/passwd": "root:*:0:0:root:/root:/bin/sh\nsys:*:3:3:sys:/dev:/usr/sbin/nologin\n",
		"etc/group":  "root:*:0:\ntty:*:5:\nkvm:*:103:\nnogroup:*:65534:\n",
		"etc/hosts":  "its own\n",
		"usr/lib/aarch64-linux-gnu/libblas.so.3.11": "there before",
	} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := os.Readlink(filepath.Join(dir, "usr/lib/aarch64-linux-gnu/libblas.so.3")); got != "/usr/lib/aarch64-linux-gnu/blas/libblas.so.3" {
		t.Errorf("the library: %q, %v", got, err)
	}
}
