package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJudgeDisk(t *testing.T) {
	for _, tt := range []struct {
		free, used uint64
		want       State
	}{
		{30 * gib, 0, OK},
		{10 * gib, 15 * gib, OK},
		{10 * gib, 14 * gib, Missing},
	} {
		f := judgeDisk(Finding{State: OK}, tt.free, tt.used)
		if f.State != tt.want || (f.Fix != "") != (tt.want != OK) {
			t.Errorf("%d free, %d used: %s, fix %q", tt.free/gib, tt.used/gib, f.State, f.Fix)
		}
	}
}

func TestMemory(t *testing.T) {
	tests := []struct {
		name, meminfo, limit string
		want                 State
		found                string
	}{
		{"enough", "MemTotal:       16303424 kB\nMemFree: 1 kB\n", "max", "", "15.5 GiB"},
		{"sold as four", "MemTotal:        4014080 kB\n", "", "", "3.8 GiB"},
		{"too little", "MemTotal:        2014080 kB\n", "", Missing, "1.9 GiB"},
		{"a container's limit", "MemTotal:       16303424 kB\n", "1073741824", Missing, "1.0 GiB"},
		{"no proc", "", "", Broken, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, filepath.Join(root, "proc/meminfo"), tt.meminfo)
			if tt.limit != "" {
				write(t, filepath.Join(root, "sys/fs/cgroup/memory.max"), tt.limit+"\n")
			}
			f := memory(root)
			if f.State != tt.want || (tt.found != "" && f.Found != tt.found) {
				t.Errorf("state %q, found %q; want %q, %q", f.State, f.Found, tt.want, tt.found)
			}
		})
	}
}

func TestLocks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	if f := locks(dir); f.State != "" {
		t.Errorf("in a directory of our own: %s: %s", f.State, f.Found)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	file := filepath.Join(dir, "file")
	write(t, file, "")
	if f := locks(filepath.Join(file, "below")); f.State != Broken || !strings.Contains(f.Fix, "CLOUDKERNEL_CACHE") {
		t.Errorf("below a file: state %q, fix %q", f.State, f.Fix)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
