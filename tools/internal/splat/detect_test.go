package splat

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOthersLines: what a program prints between the kernel's lines is not
// part of the kernel's report, and does not end it.
func TestOthersLines(t *testing.T) {
	data, err := os.ReadFile("testdata/arm64-interleaved.log")
	if err != nil {
		t.Fatal(err)
	}
	_, log, _ := strings.Cut(string(data), "\n\n")
	for _, s := range Scan(log) {
		for _, line := range s.Text {
			if !strings.HasPrefix(line, "[") {
				t.Errorf("%s has %q", s.Title, line)
			}
		}
	}
}

// TestAnyPrefix: the same report is the same splat with a caller's id in the
// stamp, with carriage returns, and without stamps.
func TestAnyPrefix(t *testing.T) {
	data, err := os.ReadFile("testdata/arm64-null.log")
	if err != nil {
		t.Fatal(err)
	}
	_, log, _ := strings.Cut(string(data), "\n\n")
	want := Scan(log)
	var bare, caller strings.Builder
	for line := range strings.Lines(log) {
		text, _, stamped := strip(line)
		if !stamped {
			continue
		}
		bare.WriteString(text + "\n")
		stamp, _, _ := strings.Cut(line, "] ")
		caller.WriteString(stamp + "][   T47] " + text + "\r\n")
	}
	for name, log := range map[string]string{"bare": bare.String(), "caller": caller.String()} {
		got := Scan(log)
		if len(got) != len(want) {
			t.Fatalf("%s: %d splats, want %d", name, len(got), len(want))
		}
		for i := range got {
			if got[i].Title != want[i].Title || got[i].Kind != want[i].Kind || len(got[i].Text) != len(want[i].Text) {
				t.Errorf("%s: %s of %d lines, want %s of %d", name, got[i].Title, len(got[i].Text), want[i].Title, len(want[i].Text))
			}
		}
	}
}

// TestFatalAtOnce: who watches learns of a death with its first line, not when
// the report is complete.
func TestFatalAtOnce(t *testing.T) {
	var d Detector
	for _, line := range []string{"[ 1.000000] all is well", "[ 1.100000] BUG: kernel NULL pointer dereference, address: 0000000000000000"} {
		d.Line(line)
		if d.Fatal() {
			t.Fatalf("fatal after %q", line)
		}
	}
	d.Line("[    1.200000] Kernel panic - not syncing: Fatal exception")
	if !d.Fatal() {
		t.Error("not fatal after a panic")
	}
	found, _ := d.Close()
	if len(found) != 1 || found[0].Kind != Oops || !found[0].Fatal {
		t.Errorf("found %+v, want one fatal oops: the panic is its consequence", found)
	}
}

func TestLeaks(t *testing.T) {
	const report = `unreferenced object 0xffff000003a1f800 (size 512):
  comm "insmod", pid 97, jiffies 4294894110
  hex dump (first 32 bytes):
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
  backtrace (crc 0):
    kmemleak_alloc+0x3c/0x50
    __kmalloc_cache_noprof+0x2a0/0x340
    splatter_leak+0x30/0x58 [splatter]
    splatter_init+0x50/0xff8 [splatter]
unreferenced object 0xffff000003a1fa00 (size 64):
  comm "sh", pid 98, jiffies 4294894120
  backtrace (crc 5a5a5a5a):
    kmemleak_alloc+0x3c/0x50
    kmem_cache_alloc_noprof+0x258/0x310
    copy_process+0x24/0x40
`
	got := Leaks(report)
	var titles []string
	for _, s := range got {
		titles = append(titles, s.Title)
	}
	want := []string{"kmemleak: unreferenced object allocated in splatter_leak", "kmemleak: unreferenced object allocated in copy_process"}
	if diff := cmp.Diff(want, titles); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := len(got[0].Text); n != 9 {
		t.Errorf("%d lines, want 9", n)
	}
	if len(Leaks("")) != 0 {
		t.Error("a leak in nothing")
	}
}
