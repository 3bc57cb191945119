package image

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudkernel/tools/internal/proc"
)

// The same tree gives the same image, all of it root's.
func TestExt4(t *testing.T) {
	if lookSbin("mke2fs") == "" || lookSbin("debugfs") == "" {
		t.Skip("e2fsprogs is not installed")
	}
	dir := root(t, map[string]string{"usr/bin/tool": strings.Repeat("x", 100_000), "etc/motd": "hello\n"})
	if err := os.Chmod(filepath.Join(dir, "usr/bin/tool"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	var images [2][]byte
	for i := range images {
		img := filepath.Join(t.TempDir(), "root.img")
		if err := makeExt4(t.Context(), dir, img); err != nil {
			t.Fatal(err)
		}
		var err error
		if images[i], err = os.ReadFile(img); err != nil {
			t.Fatal(err)
		}
		out, err := proc.Command(t.Context(), lookSbin("debugfs"), "-R", "stat /usr/bin/tool", img).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Mode:  04755", "User:     0   Group:     0", "Size: 100000"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		if out, err := proc.Command(t.Context(), lookSbin("e2fsck"), "-fn", img).CombinedOutput(); err != nil {
			t.Errorf("e2fsck: %v\n%s", err, out)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two images of one tree differ")
	}
}

func TestSkeletonIsMerged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	if err := skeleton(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "var/run": "../run"} {
		if got, err := os.Readlink(filepath.Join(dir, name)); got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// A package as dpkg-deb makes it: /bin in it is the /usr/bin that is there.
func TestExtract(t *testing.T) {
	src, dir := root(t, map[string]string{
		"DEBIAN/control": "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: x\n",
		"bin/tool":       "text",
	}), t.TempDir()
	debFile := filepath.Join(t.TempDir(), "x.deb")
	if out, err := proc.Command(t.Context(), "dpkg-deb", "--build", "--root-owner-group", src, debFile).CombinedOutput(); err != nil {
		t.Skipf("dpkg-deb: %v: %s", err, out)
	}
	if err := skeleton(filepath.Join(dir, "root")); err != nil {
		t.Fatal(err)
	}
	if err := extract(t.Context(), debFile, filepath.Join(dir, "root")); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "root/usr/bin/tool")); err != nil || string(data) != "text" {
		t.Errorf("%q, %v", data, err)
	}
	broken := filepath.Join(dir, "broken.deb")
	whole, err := os.ReadFile(debFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, whole[:len(whole)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := extract(t.Context(), broken, filepath.Join(dir, "root")); err == nil || !strings.Contains(err.Error(), "broken.deb") {
		t.Errorf("a package cut in half: %v", err)
	}
}
