package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/kernel"
	"cloudkernel/tools/internal/lab"
	"cloudkernel/tools/internal/payload"
	"cloudkernel/tools/internal/store"
)

// TestHotpatchAcrossReboots boots one host several times: an installed hotpatch
// is applied at each start of its kernel, until the host goes down with it.
func TestHotpatchAcrossReboots(t *testing.T) {
	if os.Getenv("CLOUDKERNEL_E2E") == "" {
		t.Skip("needs compilers, QEMU and minutes: set CLOUDKERNEL_E2E=1")
	}
	t.Parallel()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := store.DefaultDir()
	if err != nil {
		t.Fatal(err)
	}
	st := store.Open(cache)
	ctx := t.Context()
	kernels := &kernel.Builder{Root: root, Store: st, Err: os.Stderr}
	req := kernel.Request{Arch: arch.ARM64, Profile: kernel.DefaultProfile}
	k, release, err := kernels.Build(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	make := &payload.Maker{Store: st, Kernels: kernels, Root: root}
	host := t.TempDir() // what the host keeps: its /var/lib/hotpatch
	bring := func(name string, path string, done func(), err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(host, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path, done, err := make.Hotpatch(ctx, arch.ARM64)
	bring("hotpatch", path, done, err)
	path, done, err = make.HotpatchModule(ctx, req, "version", []string{filepath.Join(root, "qemu-tests/hotpatch/version.patch")}, false)
	bring("version.ko", path, done, err)

	boot := func(script string) (string, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
		defer cancel()
		g, err := lab.Boot(ctx, lab.Spec{
			Arch: arch.ARM64, Kernel: k.Image(), Store: st, Repo: root, Timeout: 20 * time.Minute,
			Shares: []lab.Share{{Dir: host, Path: "/var/lib/hotpatch"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		var out bytes.Buffer
		_, err = g.Run(ctx, guest.Cmd{Argv: []string{"sh", "-c", "cd /var/lib/hotpatch; " + script + "; cat /proc/version"}, Stdout: &out, Stderr: &out})
		return out.String(), g.Explain(err)
	}
	for _, step := range []struct {
		name, script string
		dies         bool
		want, lacks  []string
	}{
		{"installed, and for another kernel", `./hotpatch install version.ko
			id=$(./hotpatch inspect version.ko --json | sed -n 's/.*"build_id": "\([0-9a-f]*\)".*/\1/p' | head -n 1)
			sed "s/$id/0000000000000000000000000000000000000000/; s/version/another/" installed/version.ko >installed/another.ko
			./hotpatch boot; ./hotpatch boot --settled`, false,
			[]string{"version is installed", "skipped: it is for another kernel", "version is applied", "hotpatched: Linux"}, nil},
		{"the next start, and a crash", `./hotpatch boot; cat /proc/version; sync; sleep 1; echo c >/proc/sysrq-trigger; sleep 60`, true, nil, nil},
		{"after the crash", `./hotpatch boot; ./hotpatch status; ./hotpatch install version.ko`, false,
			[]string{"the host went down after it was applied at boot", "install it again"}, []string{"hotpatched: Linux"}},
		{"installed again", `./hotpatch boot; ./hotpatch boot --settled`, false, []string{"hotpatched: Linux"}, nil},
		{"uninstalled", `./hotpatch status; ./hotpatch uninstall version; ./hotpatch boot`, false, nil, []string{"hotpatched: Linux"}},
	} {
		out, err := boot(step.script)
		t.Logf("%s: %v\n%s", step.name, err, out)
		if (err != nil) != step.dies {
			t.Fatalf("%s: the guest ended with %v", step.name, err)
		}
		for _, w := range step.want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: nothing says %q", step.name, w)
			}
		}
		for _, w := range step.lacks {
			if strings.Contains(out, w) {
				t.Errorf("%s: something says %q", step.name, w)
			}
		}
	}
}
