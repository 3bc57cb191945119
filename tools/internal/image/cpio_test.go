package image

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"
)

func archiveOf(t *testing.T, entries []Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteCPIO(&b, entries); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// list reads an archive back: one line a file.
func list(t *testing.T, archive []byte) []string {
	t.Helper()
	var lines []string
	r := cpio.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Guid != 0 || h.ModTime.Unix() != 0 {
			t.Errorf("%s: owner %d:%d, time %v", h.Name, h.Uid, h.Guid, h.ModTime)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		line := h.Mode.String() + " " + h.Name
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		} else if len(data) > 0 {
			line += " " + string(data)
		}
		lines = append(lines, line)
	}
}

func TestCPIO(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries := []Entry{
		{Path: "/usr/bin/tool", Mode: 0o755, Source: source},
		{Path: "/usr/bin/su", Mode: 0o755 | fs.ModeSetuid, Data: []byte("x")},
		{Path: "/etc/motd", Mode: 0o644, Data: []byte("replaced")},
		{Path: "/etc/motd", Mode: 0o644, Data: []byte("hello")},
		{Path: "/bin", Mode: fs.ModeSymlink, Link: "usr/bin"},
		{Path: "/root", Mode: fs.ModeDir | 0o700},
		{Path: "/empty", Mode: 0o600},
	}
	want := []string{
		"0120777 bin -> usr/bin",
		"0100600 empty",
		"040755 etc",
		"0100644 etc/motd hello",
		"040700 root",
		"040755 usr",
		"040755 usr/bin",
		"0104755 usr/bin/su x",
		"0100755 usr/bin/tool from a file",
	}
	first := archiveOf(t, entries)
	if diff := cmp.Diff(want, list(t, first)); diff != "" {
		t.Errorf("the archive (-want +got):\n%s", diff)
	}
	// The same files are the same bytes, in whatever order they are given and
	// whenever the sources were written.
	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(source, now, now); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		mixed := append([]Entry(nil), entries[:2]...)
		mixed = append(mixed, entries[3:]...)
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if !bytes.Equal(archiveOf(t, mixed), first) {
			t.Fatal("another order gives another archive")
		}
	}
}

func TestCPIORejects(t *testing.T) {
	for want, e := range map[string]Entry{
		"must be absolute": {Path: "relative", Mode: 0o644},
		"cannot be packed": {Path: "/pipe", Mode: fs.ModeNamedPipe},
		"no such file":     {Path: "/x", Mode: 0o644, Source: "/no/such/file"},
	} {
		err := WriteCPIO(io.Discard, []Entry{e})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), e.Path) {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a/b/run"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("b/run", filepath.Join(dir, "a/link")); err != nil {
		t.Fatal(err)
	}
	entries, err := Tree(dir, "/opt/case")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"040755 opt", "040755 opt/case", "040755 opt/case/a", "040755 opt/case/a/b",
		"0100755 opt/case/a/b/run #!/bin/sh\n", "0120777 opt/case/a/link -> b/run",
	}
	if diff := cmp.Diff(want, list(t, archiveOf(t, entries))); diff != "" {
		t.Errorf("the archive (-want +got):\n%s", diff)
	}
}

func TestBaseArchive(t *testing.T) {
	names := []string{"[", "[[", "ash", "busybox", "cat", "init", "sh"}
	for i := range 60 {
		names = append(names, "x"+strings.Repeat("y", i))
	}
	box := []byte("\x7fELF...\x00" + strings.Join(names, "\x00") + "\x00\x00more")
	entries, err := baseEntries([]byte("agent"), box)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(list(t, archiveOf(t, entries)), "\n")
	for _, want := range []string{
		"0100755 init agent\n", "0120777 usr/bin/sh -> busybox\n", "0120777 usr/bin/[ -> busybox\n",
		"0120777 usr/sbin/modprobe -> ../bin/busybox\n", "0120777 bin -> usr/bin\n", "040755 proc\n",
	} {
		if !strings.Contains(text+"\n", want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "usr/bin/init ") {
		t.Error("busybox must not be init")
	}
	for _, bad := range []string{"no list", "\x00[\x00[[\x00a\x00\x00"} {
		if _, err := busyboxApplets([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
