package lab

import (
	"path/filepath"
	"strings"
	"testing"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/guest"
	"cloudkernel/tools/internal/image"
)

// Two guests share one disk of packages, each with its own changes.
func TestPackages(t *testing.T) {
	eachArch(t, func(t *testing.T, spec Spec) {
		ctx := testContext(t)
		spec.Packages = []string{"mawk", "hello"}
		spec.Files = []image.Entry{{Path: "/opt/case", Mode: 0o644, Data: []byte("a file of the case\n")}}
		spec.Shares = []Share{{Dir: t.TempDir(), Path: "/mnt/share"}}
		g := boot(t, ctx, spec)
		spec.Dir = t.TempDir()
		other := boot(t, ctx, spec)
		for script, want := range map[string]string{
			"hello":                             "Hello, world!",
			"readlink /usr/bin/awk":             "/usr/bin/mawk",
			"awk 'BEGIN { print 6 * 7 }'":       "42",
			"cat /opt/case":                     "a file of the case",
			"readlink /usr/bin/tac":             "busybox",
			"grep -c /mnt/share /proc/mounts":   "1",
			"mount | grep -c ' / type overlay'": "1",
		} {
			if got := run(t, ctx, g, script); got != want {
				t.Errorf("%s: %q, want %q", script, got, want)
			}
		}
		run(t, ctx, g, "echo changed >/etc/changed; rm /usr/bin/hello")
		if got := run(t, ctx, other, "test -e /etc/changed || hello"); got != "Hello, world!" {
			t.Errorf("in the other guest: %q", got)
		}
	})
}

func TestUnknownPackage(t *testing.T) {
	spec := testSpec(t, arch.ARM64)
	for _, name := range []string{"no-such-package-in-debian", "--help", "a b", ""} {
		spec.Packages = []string{name}
		g, err := Boot(testContext(t), spec)
		if err == nil {
			g.Close()
			t.Errorf("package %q: no error", name)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("package %q: the error does not name it: %v", name, err)
		}
	}
}

// TestNestedKVM runs Debian's own QEMU with KVM inside a guest: its guest boots
// the same kernel and initramfs to our agent, which finds no port and says so.
func TestNestedKVM(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	lines := map[*arch.Arch]struct{ pkg, qemu string }{
		arch.ARM64:  {"qemu-system-arm", "qemu-system-aarch64 -M virt,gic-version=3 -append 'console=ttyAMA0 panic=-1 loglevel=4'"},
		arch.X86_64: {"qemu-system-x86", "qemu-system-x86_64 -M q35 -append 'console=ttyS0 panic=-1 reboot=t loglevel=4 no_timer_check'"},
	}
	eachArch(t, func(t *testing.T, spec Spec) {
		ctx := testContext(t)
		maker := &image.Maker{Store: spec.Store, Repo: spec.Repo}
		initrd, release, err := maker.Initramfs(ctx, spec.Arch)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		l := lines[spec.Arch]
		spec.NestedKVM, spec.MemoryMiB, spec.Packages = true, 2048, []string{l.pkg}
		spec.Shares = []Share{
			{Dir: filepath.Dir(spec.Kernel), Path: "/k", ReadOnly: true},
			{Dir: filepath.Dir(initrd), Path: "/i", ReadOnly: true},
		}
		g := boot(t, ctx, spec)
		script := l.qemu + " -accel kvm -cpu host -m 256 -nodefaults -no-user-config -display none -serial stdio -no-reboot" +
			" -kernel /k/" + filepath.Base(spec.Kernel) + " -initrd /i/" + filepath.Base(initrd) + " 2>&1"
		p := &strings.Builder{}
		proc, err := g.Start(guest.Cmd{Argv: []string{"sh", "-c", script}, Stdout: p})
		if err != nil {
			t.Fatal(err)
		}
		status, err := proc.Wait(ctx)
		if err != nil || status.Code != 0 || !strings.Contains(p.String(), "cloudkernel: agent: there is no virtio-serial port") {
			t.Fatalf("the guest's guest: %+v, %v\n%s", status, g.Explain(err), p)
		}
		t.Logf("the guest's guest ran %s of guest time", status.Ran)
	})
}
