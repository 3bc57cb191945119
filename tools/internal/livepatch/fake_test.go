package livepatch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudkernel/kpatch-arm64/elfw"
	"cloudkernel/kpatch-arm64/module"
)

const (
	release = "6.12.117-test"
	buildID = "00112233445566778899aabbccddeeff00112233"
)

// fake is a host of files, with a kernel that does what a test wants when a
// module is loaded.
type fake struct {
	*Host
	t        *testing.T
	user     int
	onLoad   func(name string) error
	onUnload func(name string) error
	loaded   []string
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t}
	f.Host = &Host{Root: t.TempDir(), Dir: "/var/lib/hotpatch", sys: f}
	f.write("proc/sys/kernel/osrelease", release)
	f.write("proc/sys/kernel/random/boot_id", "boot-1")
	f.write("sys/kernel/notes", note("GNU", 3, unhex(buildID)))
	f.mkdir("sys/kernel/livepatch")
	f.mkdir("sys/module")
	f.onLoad = func(name string) error {
		f.setPatch(name, Applied)
		return nil
	}
	f.onUnload = func(name string) error {
		// As in the kernel, a livepatch holds its module until it is gone from sysfs.
		if _, err := os.Stat(f.path("sys/kernel/livepatch", name)); err == nil {
			return unix.EAGAIN
		}
		return os.RemoveAll(f.path("sys/module", name))
	}
	return f
}

func (f *fake) load(data []byte) error {
	m, err := module.ReadManifest(data)
	if err != nil {
		return err
	}
	f.loaded = append(f.loaded, m.Name)
	if err := f.onLoad(m.Name); err != nil {
		return err
	}
	n, _ := m.Note()
	f.write("sys/module/"+m.Name+"/notes/"+module.NoteSection, string(n))
	return nil
}

func (f *fake) unload(name string) error { return f.onUnload(name) }
func (f *fake) uid() int                 { return f.user }
func (f *fake) machine() (string, error) { return "aarch64", nil }
func (f *fake) now() time.Time           { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func (f *fake) mkdir(path string) {
	if err := os.MkdirAll(f.path(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) write(path, text string) {
	f.mkdir(filepath.Dir(path))
	if err := os.WriteFile(f.path(path), []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// setPatch makes the livepatch core say that a patch is in a state.
func (f *fake) setPatch(name string, s State, functions ...string) {
	dir := "sys/kernel/livepatch/" + name
	if s == Inactive || s == Absent {
		if err := os.RemoveAll(f.path(dir)); err != nil {
			f.t.Fatal(err)
		}
		return
	}
	bit := func(b bool) string { return fmt.Sprintln(map[bool]int{true: 1}[b]) }
	f.write(dir+"/enabled", bit(s == Applied || s == Applying))
	f.write(dir+"/transition", bit(s == Applying || s == Reverting))
	f.write(dir+"/replace", "0\n")
	f.write(dir+"/vmlinux/patched", "1\n")
	for _, fn := range functions {
		f.mkdir(dir + "/vmlinux/" + fn + ",1")
	}
	f.mkdir("sys/module/" + name)
}

// task puts a task into /proc.
func (f *fake) task(tid int, comm, state string, kthread bool, patchState int, stack ...string) {
	dir := fmt.Sprintf("proc/%d/task/%d/", tid, tid)
	flags := 0x400040
	if kthread {
		flags |= pfKthread
	}
	f.write(dir+"stat", fmt.Sprintf("%d (%s) %s 1 1 1 0 -1 %d 0 0\n", tid, comm, state, flags))
	f.write(dir+"patch_state", fmt.Sprintln(patchState))
	text := ""
	for _, s := range stack {
		text += "[<0>] " + s + "+0x10/0x20\n"
	}
	f.write(dir+"stack", text)
}

func unhex(s string) string {
	var b strings.Builder
	for i := 0; i+1 < len(s); i += 2 {
		var c byte
		fmt.Sscanf(s[i:i+2], "%02x", &c)
		b.WriteByte(c)
	}
	return b.String()
}

func note(name string, typ uint32, desc string) string {
	w := func(n int) string { return string([]byte{byte(n), byte(n >> 8), 0, 0}) }
	pad := func(s string) string { return s + strings.Repeat("\x00", (4-len(s)%4)%4) }
	return w(len(name)+1) + w(len(desc)) + w(int(typ)) + pad(name+"\x00") + pad(desc)
}

// file makes a hotpatch for the fake host.
func file(t *testing.T, name string, edit func(*module.Manifest)) *File {
	t.Helper()
	m := &module.Manifest{
		Format: 1, Name: name, Arch: "arm64", Release: release, BuildID: buildID,
		Objects: []module.ManifestObject{{Name: "vmlinux", Functions: []module.ManifestFunction{{Name: "do_thing"}}}},
	}
	if edit != nil {
		edit(m)
	}
	n, err := m.Note()
	if err != nil {
		t.Fatal(err)
	}
	f := elfw.New(elfw.EmAArch64)
	f.AddSection(&elfw.Section{Name: module.NoteSection, Type: elfw.ShtNote, Flags: elfw.ShfAlloc, Data: n})
	data, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), name+".ko")
	if err := os.WriteFile(p, data, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
