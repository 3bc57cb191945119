package lab

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/store"
)

// kernels are the images that tests boot, named by the environment: nothing
// here builds one.
var kernels = map[*arch.Arch]string{
	arch.ARM64:  "CLOUDKERNEL_TEST_KERNEL_ARM64",
	arch.X86_64: "CLOUDKERNEL_TEST_KERNEL_X86_64",
}

// testSpec returns a guest to boot, or skips the test.
func testSpec(t testing.TB, a *arch.Arch) Spec {
	t.Helper()
	image := os.Getenv(kernels[a])
	if image == "" {
		t.Skipf("%s names no kernel image to boot", kernels[a])
	}
	dir, err := store.DefaultDir()
	if err != nil {
		t.Fatal(err)
	}
	repo, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return Spec{Arch: a, Kernel: image, Store: store.Open(dir), Repo: repo, Dir: t.TempDir(), Progress: os.Stderr}
}

// eachArch runs a test for the architectures that there is a kernel of.
func eachArch(t *testing.T, run func(t *testing.T, spec Spec)) {
	for _, a := range arch.All {
		t.Run(a.Name, func(t *testing.T) { run(t, testSpec(t, a)) })
	}
}

// testContext returns a context that ends before the test binary's deadline.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// boot boots a guest that is closed when the test ends.
func boot(t testing.TB, ctx context.Context, spec Spec) *Guest {
	t.Helper()
	g, err := Boot(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}
