package livepatch

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudkernel/kpatch-arm64/module"
	"cloudkernel/tools/internal/outcome"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name  string
		host  func(f *fake)
		patch func(m *module.Manifest)
		want  string // the check that fails, "" if none does
	}{
		{"fits", func(f *fake) {}, nil, ""},
		{"not root", func(f *fake) { f.user = 1000 }, nil, "root"},
		{"other architecture", func(f *fake) {}, func(m *module.Manifest) { m.Arch = "x86_64" }, "architecture"},
		{"no livepatch", func(f *fake) { os.RemoveAll(f.path("sys/kernel/livepatch")) }, nil, "livepatch"},
		{"no sysfs", func(f *fake) { os.RemoveAll(f.path("sys")) }, nil, "livepatch"},
		{"other release", func(f *fake) {}, func(m *module.Manifest) { m.Release = "6.12.1" }, "release"},
		{"other build", func(f *fake) {}, func(m *module.Manifest) { m.BuildID = "ff" }, "build-id"},
		{"kernel without build-id", func(f *fake) { os.Remove(f.path("sys/kernel/notes")) }, nil, "build-id"},
		{"signatures enforced", func(f *fake) { f.write("sys/module/module/parameters/sig_enforce", "Y\n") }, nil, "signature"},
		{"locked down", func(f *fake) { f.write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n") }, nil, "signature"},
		{"not locked down", func(f *fake) { f.write("sys/kernel/security/lockdown", "[none] integrity confidentiality\n") }, nil, ""},
		{"name taken", func(f *fake) { f.mkdir("sys/module/fix") }, nil, "name"},
		{"another transition", func(f *fake) { f.setPatch("other", Applying) }, nil, "transition"},
		{"overlap", func(f *fake) { f.setPatch("other", Applied, "do_thing") }, nil, "overlap"},
		{"overlap, replacing", func(f *fake) { f.setPatch("other", Applied, "do_thing") }, func(m *module.Manifest) { m.Replace = true }, ""},
		{"no overlap", func(f *fake) { f.setPatch("other", Applied, "other_thing") }, nil, ""},
		{"module of another build", func(f *fake) { f.write("sys/module/ext9/notes/.note.gnu.build-id", note("GNU", 3, "\x01\x02")) },
			func(m *module.Manifest) {
				m.Objects = append(m.Objects, module.ManifestObject{Name: "ext9", BuildID: "0304"})
			}, "module"},
		{"module that is not loaded", func(f *fake) {}, func(m *module.Manifest) {
			m.Objects = append(m.Objects, module.ManifestObject{Name: "ext9", BuildID: "0304"})
		}, ""},
		{"task in the function", func(f *fake) { f.task(7, "cat", "S", false, -1, "do_thing") }, nil, ""},
		{"journal cannot be written", func(f *fake) { f.Dir = "proc/sys/kernel/osrelease/x" }, nil, "journal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			tt.host(f)
			var failed []string
			for _, c := range f.Check(file(t, "fix", tt.patch)) {
				if c.Fatal {
					failed = append(failed, c.Check)
				}
			}
			if got := strings.Join(failed, " "); got != tt.want {
				t.Errorf("failed %q, want %q", got, tt.want)
			}
		})
	}
}

func TestApplyAndRevert(t *testing.T) {
	f := newFake(t)
	fix := file(t, "fix", nil)
	res, err := f.Apply(t.Context(), fix, Options{Deadline: time.Second})
	if err != nil || res.State != Applied || res.Already {
		t.Fatalf("apply: %+v, %v", res, err)
	}
	if res, err = f.Apply(t.Context(), fix, Options{Deadline: time.Second}); err != nil || !res.Already || len(f.loaded) != 1 {
		t.Fatalf("apply again: %+v, %v, loaded %v", res, err, f.loaded)
	}
	// What the kernel does when the switch is written.
	go func() {
		for f.State("fix") != Absent {
			if v, _ := f.line("sys/kernel/livepatch/fix/enabled"); v == "0" {
				f.setPatch("fix", Inactive)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if res, err = f.Revert(t.Context(), "fix", Options{Deadline: 5 * time.Second}); err != nil || res.State != Inactive {
		t.Fatalf("revert: %+v, %v", res, err)
	}
	if res, err = f.Revert(t.Context(), "fix", Options{}); err != nil || !res.Already {
		t.Fatalf("revert again: %+v, %v", res, err)
	}
	if res, err = f.Unload(t.Context(), "fix", false); err != nil || res.State != Absent {
		t.Fatalf("unload: %+v, %v", res, err)
	}
	entries, err := f.Journal()
	if err != nil {
		t.Fatal(err)
	}
	var ops []string
	for _, e := range entries {
		if e.Done {
			ops = append(ops, string(e.Op))
		}
	}
	if got := strings.Join(ops, " "); got != "apply revert unload" {
		t.Errorf("the journal says %q", got)
	}
	if list, _ := f.Unfinished(); len(list) > 0 {
		t.Errorf("unfinished: %+v", list)
	}
}

func TestStall(t *testing.T) {
	f := newFake(t)
	f.onLoad = func(name string) error {
		f.setPatch(name, Applying, "do_thing")
		return nil
	}
	f.task(10, "sleeper", "S", false, 0, "schedule", "do_thing", "el0_svc")
	f.task(11, "kworker/0:1", "I", true, 0, "schedule", "worker_thread")
	f.task(12, "cruncher", "R", false, 0)
	f.task(13, "done", "S", false, 1, "do_thing")
	res, err := f.Apply(t.Context(), file(t, "fix", nil), Options{Deadline: 10 * time.Millisecond})
	if outcome.Of(err) != outcome.Hang || res.State != Applying {
		t.Fatalf("%+v, %v", res, err)
	}
	want := []struct {
		tid   int
		cause Cause
		where string
	}{{10, CauseInFunction, "do_thing"}, {11, CauseKthread, ""}, {12, CauseRunning, ""}}
	if len(res.Blockers) != len(want) {
		t.Fatalf("held up by %+v", res.Blockers)
	}
	for i, w := range want {
		if b := res.Blockers[i]; b.TID != w.tid || b.Cause != w.cause || b.Where != w.where {
			t.Errorf("task %d is explained as %+v", w.tid, b)
		}
	}
	if s := res.Blockers[0].Stack; len(s) != 3 || s[1] != "do_thing+0x10/0x20" {
		t.Errorf("its stack is %q", s)
	}
}

func TestLoadFails(t *testing.T) {
	f := newFake(t)
	f.onLoad = func(string) error { return unix.EKEYREJECTED }
	_, err := f.Apply(t.Context(), file(t, "fix", nil), Options{})
	if err == nil || !strings.Contains(err.Error(), "signed with a key the kernel does not know") || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("got %v", err)
	}
	entries, _ := f.Journal()
	if n := len(entries); n != 2 || entries[1].Error == "" || !entries[1].Done {
		t.Errorf("the journal has %+v", entries)
	}
}

func TestJournalTellsTheTruth(t *testing.T) {
	f := newFake(t)
	j, err := f.openJournal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.begin(Entry{Op: OpApply, Patch: "fix"}); err != nil {
		t.Fatal(err)
	}
	// Killed here: the file is as it was left, with the room that was kept.
	_ = j.lock.Close()
	list, err := f.Unfinished()
	if err != nil || len(list) != 1 || list[0].Crashed {
		t.Fatalf("after a kill: %+v, %v", list, err)
	}
	f.write("proc/sys/kernel/random/boot_id", "boot-2")
	if list, err = f.Unfinished(); err != nil || len(list) != 1 || !list[0].Crashed {
		t.Fatalf("after a crash: %+v, %v", list, err)
	}
	// A line that was cut off is written over.
	data, err := os.ReadFile(f.journalPath())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.journalPath(), append(data, `{"op":"app`...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Apply(t.Context(), file(t, "fix", nil), Options{}); err != nil {
		t.Fatal(err)
	}
	data, err = os.ReadFile(f.journalPath())
	if err != nil || bytes.Contains(data, []byte(`"app{`)) || bytes.Count(data, []byte("\n")) != 3 {
		t.Errorf("the journal is now %q", data)
	}
	if list, _ = f.Unfinished(); len(list) != 0 {
		t.Errorf("still unfinished: %+v", list)
	}
}

func TestLost(t *testing.T) {
	f := newFake(t)
	if _, err := f.Apply(t.Context(), file(t, "fix", nil), Options{}); err != nil {
		t.Fatal(err)
	}
	f.setPatch("fix", Absent)
	os.RemoveAll(f.path("sys/module/fix"))
	f.write("proc/sys/kernel/random/boot_id", "boot-2")
	s, err := f.Status()
	if err != nil || len(s.Lost) != 1 || s.Lost[0].Patch != "fix" {
		t.Errorf("lost %+v, %v", s.Lost, err)
	}
}

func TestBoot(t *testing.T) {
	f := newFake(t)
	f.mkdir("etc/systemd/system")
	fix := file(t, "fix", nil)
	other := file(t, "other", func(m *module.Manifest) { m.BuildID = "ff" })
	for _, p := range []*File{fix, other} {
		if _, err := f.Install(t.Context(), p, "/usr/sbin/hotpatch"); err != nil {
			t.Fatal(err)
		}
	}
	unit, err := os.ReadFile(f.path("etc/systemd/system/hotpatch.service"))
	if err != nil || !bytes.Contains(unit, []byte("ExecStart=/usr/sbin/hotpatch boot --dir /var/lib/hotpatch")) {
		t.Errorf("the unit is %q, %v", unit, err)
	}
	if link, err := os.Readlink(f.path("etc/systemd/system/multi-user.target.wants/hotpatch.service")); err != nil || link != "../hotpatch.service" {
		t.Errorf("the link is %q, %v", link, err)
	}
	boot := func(id string) map[string]string {
		f.write("proc/sys/kernel/random/boot_id", id)
		f.setPatch("fix", Absent)
		os.RemoveAll(f.path("sys/module/fix"))
		results, err := f.Boot(t.Context(), Options{Deadline: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		for _, r := range results {
			m[r.Name] = r.Skipped + r.Error
		}
		return m
	}
	r := boot("boot-2")
	if r["fix"] != "" || !strings.Contains(r["other"], "another kernel") {
		t.Fatalf("first boot: %v", r)
	}
	if err := f.Settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r = boot("boot-3"); r["fix"] != "" {
		t.Fatalf("after a boot that went well: %v", r)
	}
	// The host crashes before it settled.
	if r = boot("boot-4"); !strings.Contains(r["fix"], "went down") {
		t.Fatalf("after a crash: %v", r)
	}
	if r = boot("boot-5"); !strings.Contains(r["fix"], "went down") {
		t.Fatalf("at the boot after that: %v", r)
	}
	if _, err := f.Install(t.Context(), fix, "/usr/sbin/hotpatch"); err != nil {
		t.Fatal(err)
	}
	if r = boot("boot-6"); r["fix"] != "" {
		t.Fatalf("installed again: %v", r)
	}
	for _, n := range []string{"fix", "other", "other"} {
		if err := f.Uninstall(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := filepath.Glob(f.path("etc/systemd/system/*")); len(left) > 2 { // the two directories of links
		t.Errorf("left over: %v", left)
	}
}

func TestPinnedStays(t *testing.T) {
	f := newFake(t)
	fix := file(t, "fix", func(m *module.Manifest) { m.Pinned = []string{"f takes the address of the new function g"} })
	if _, err := f.Apply(t.Context(), fix, Options{}); err != nil {
		t.Fatal(err)
	}
	f.setPatch("fix", Inactive)
	if _, err := f.Unload(t.Context(), "fix", false); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("unloaded: %v", err)
	}
	if _, err := f.Apply(t.Context(), fix, Options{}); err == nil || !strings.Contains(err.Error(), "before the next boot") {
		t.Errorf("applied again: %v", err)
	}
	if r, err := f.Unload(t.Context(), "fix", true); err != nil || r.State != Absent {
		t.Errorf("by force: %+v, %v", r, err)
	}
}

func TestDiskFull(t *testing.T) {
	f := newFake(t)
	f.mkdir("var/lib/hotpatch")
	if err := os.Symlink("/dev/full", f.journalPath()); err != nil {
		t.Fatal(err)
	}
	j := &journal{h: f.Host}
	var err error
	if j.file, err = os.OpenFile(f.journalPath(), os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := j.begin(Entry{Op: OpApply}); outcome.Of(err) != outcome.Infra || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("got %v", err)
	}
}

func TestMetrics(t *testing.T) {
	f := newFake(t)
	f.setPatch("fix", Applying, "a", "b")
	f.task(10, "x", "S", false, 0)
	s, err := f.Status()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	s.Metrics(&b)
	for _, want := range []string{
		`hotpatch_state{patch="fix",state="applying"} 1`, `hotpatch_state{patch="fix",state="applied"} 0`,
		`hotpatch_functions{patch="fix"} 2`, `hotpatch_blocking_tasks{patch="fix"} 1`, "hotpatch_supported 1",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("there is no %s in\n%s", want, b.String())
		}
	}
}

func TestReadFileRefuses(t *testing.T) {
	good := file(t, "fix", nil).Data
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"truncated":   {good[:len(good)-20], "truncated"},
		"empty":       {nil, "does not begin"},
		"no manifest": {bytes.Replace(good, []byte(module.NoteSection), []byte(".note.nothotpa"), 1), "not made by hotpatch"},
	} {
		p := filepath.Join(dir, "x.ko")
		if err := os.WriteFile(p, tt.data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(p); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
	}
}

var _ system = (*fake)(nil)
