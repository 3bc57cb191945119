package hotbuild

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModulePath(t *testing.T) {
	k := &Kernel{Build: t.TempDir()}
	for name, objects := range map[string]string{
		"drivers/net/dummy.mod":       "drivers/net/dummy.o\n",
		"fs/big/big-fs.mod":           "fs/big/a.o\nfs/big/sub/b.o\n",
		"fs/big/sub/big_fs_other.mod": "fs/big/sub/c.o\n",
	} {
		p := filepath.Join(k.Build, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(objects), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ target, flags, want, err string }{
		{"fs/pipe.o", `-DKBUILD_MODNAME='"pipe"'`, "", ""},
		{"drivers/net/dummy.o", `-DMODULE -DKBUILD_MODNAME='"dummy"'`, "drivers/net/dummy", ""},
		{"fs/big/sub/b.o", `-DMODULE -DKBUILD_MODNAME='"big_fs"'`, "fs/big/big-fs", ""},
		{"fs/big/sub/d.o", `-DMODULE -DKBUILD_MODNAME='"big_fs"'`, "", "no .mod file lists it"},
	} {
		got, err := k.modulePath(&cmdFile{target: tt.target, text: "gcc " + tt.flags + " -c x.c"})
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v", tt.target, got, err)
		}
	}
}
