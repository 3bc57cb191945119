package splat

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fault returns a console on which the functions of testdata/fault.c failed,
// in a module. Offsets are of the two object files; a return address points
// behind the call.
func fault(inner, outer string) string {
	return "[    1.000000] ------------[ cut here ]------------\n" +
		"[    1.000001] WARNING: CPU: 0 PID: 1 at /src/fault.c:10 " + inner + " [fault]\n" +
		"[    1.000002] pc : " + inner + " [fault]\n" +
		"[    1.000003] Call trace:\n" +
		"[    1.000004]  " + inner + " [fault]\n" +
		"[    1.000005]  " + outer + " [fault]\n" +
		"[    1.000006]  not_there+0x10/0x20\n" +
		"[    1.000007] ---[ end trace 0000000000000000 ]---\n"
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct{ object, inner, outer string }{
		{"testdata/fault-arm64.o", "inner+0x8/0x10", "outer+0x10/0x18"},
		{"testdata/fault-x86_64.o", "inner+0x7/0xa", "outer+0x8/0x9"},
	} {
		t.Run(tt.object, func(t *testing.T) {
			found := Scan(fault(tt.inner, tt.outer))
			if len(found) != 1 {
				t.Fatalf("found %d splats", len(found))
			}
			d := NewDecoder(tt.object, func(string) string { return tt.object }, func(file string) ([]byte, error) {
				return os.ReadFile("testdata/" + strings.TrimPrefix(file, "src/"))
			})
			defer d.Close()
			got, err := d.Decode(&found[0])
			if err != nil {
				t.Fatal(err)
			}
			want := strings.NewReplacer("INNER", tt.inner, "OUTER", tt.outer).Replace(`------------[ cut here ]------------
store (fault.c:9) [inlined]
WARNING: CPU: 0 PID: 1 at /src/fault.c:10 INNER [fault] (fault.c:14)
        8 | {
  >     9 |         *nowhere = value;
       10 | }
store (fault.c:9) [inlined]
pc : INNER [fault] (fault.c:14)
Call trace:
 store (fault.c:9) [inlined]
 INNER [fault] (fault.c:14)
 OUTER [fault] (fault.c:20)
 not_there+0x10/0x20
---[ end trace 0000000000000000 ]---`)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeWithoutDebugInformation(t *testing.T) {
	found := Scan(fault("inner+0x8/0x10", "outer+0x10/0x18"))
	d := NewDecoder("testdata/fault.c", func(string) string { return "testdata/fault.c" }, nil)
	defer d.Close()
	got, err := d.Decode(&found[0])
	if err == nil || !strings.Contains(err.Error(), "testdata/fault.c") {
		t.Errorf("error %v does not name the file", err)
	}
	if !strings.Contains(got, "inner+0x8/0x10 [fault]\n") {
		t.Errorf("the text is not complete:\n%s", got)
	}
}

// TestFlood feeds a console without end: what is kept of it is bounded.
func TestFlood(t *testing.T) {
	var d Detector
	for range 500 {
		for _, line := range strings.SplitAfter(fault("a+0x1/0x2", "b+0x1/0x2"), "\n") {
			d.Line(line)
		}
	}
	d.Line("[    2.0] BUG: KASAN: something without end\n")
	for range 100_000 {
		d.Line("[    2.000000] x\n")
	}
	found, dropped := d.Close()
	if len(found) != maxSplats || dropped == 0 {
		t.Errorf("%d splats kept, %d dropped", len(found), dropped)
	}
	for _, s := range found {
		if len(s.Text) > maxText {
			t.Errorf("%d lines kept of one splat", len(s.Text))
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add(fault("a+0x1/0x2", "b+0x1/0x2"))
	f.Add("Kernel panic - not syncing: x\n")
	f.Add("BUG: KASAN: use-after-free in f+0x1/0x2\n====================\n")
	f.Fuzz(func(t *testing.T, log string) {
		lines := strings.Count(log, "\n") + 1
		for _, s := range Scan(log) {
			if s.Title == "" || len(s.Text) == 0 || s.Line < 1 || s.Line > lines || strings.Contains(s.Title, "\n") {
				t.Errorf("bad splat %+v", s)
			}
		}
	})
}
