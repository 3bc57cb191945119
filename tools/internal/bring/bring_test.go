package bring

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/kernel"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "topic")
	for _, name := range []string{"topic/a.sh", "topic/sub/b", "topic/tree/c", "shared.sh"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	bring := func(files ...string) (*Brought, error) {
		b, release, err := Bring(context.Background(), nil, kernel.Request{Arch: arch.ARM64}, &kernel.Kernel{}, Things{Root: root, Files: files})
		if err == nil {
			release()
		}
		return b, err
	}
	b, err := bring("a.sh", "sub/b", "tree", "../shared.sh")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range b.Entries {
		got[e.Path] = e.Mode.String()
	}
	want := map[string]string{
		"/case": "drwxrwxrwx", "/case/a.sh": "-rwxr-x---", "/case/sub/b": "-rwxr-x---", "/case/shared.sh": "-rwxr-x---",
		"/case/tree": "drwxr-xr-x", "/case/tree/c": "-rwxr-x---",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := bring("gone"); err == nil || !strings.Contains(err.Error(), filepath.Join(root, "gone")) {
		t.Errorf("a file that is not there: %v", err)
	}
}
