package hotbuild

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCmd(t *testing.T) {
	c, err := parseCmd([]byte(`savedcmd_fs/a.o := ccache gcc -Wp,-MMD,fs/.a.o.d -DKBUILD_MODNAME='"a"' -DX="q \"r\"" '-DSHARP=$(pound)1' -c -o fs/a.o ../fs/a.c ; ./objtool fs/a.o

source_fs/a.o := ../fs/a.c

deps_fs/a.o := \
    $(wildcard include/config/X) \
  ../include/x.h \
  include/generated/y.h \

fs/a.o: $(deps_fs/a.o)

$(deps_fs/a.o):
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.target != "fs/a.o" || c.source != "../fs/a.c" {
		t.Errorf("target %q, source %q", c.target, c.source)
	}
	if d := cmp.Diff([]string{"../include/x.h", "include/generated/y.h", "../fs/a.c"}, c.deps); d != "" {
		t.Errorf("dependencies (-want +got):\n%s", d)
	}
	args, err := c.args()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ccache", "gcc", "-Wp,-MMD,fs/.a.o.d", `-DKBUILD_MODNAME="a"`, `-DX=q "r"`, "-DSHARP=#1", "-c", "-o", "fs/a.o", "../fs/a.c"}
	if d := cmp.Diff(want, args); d != "" {
		t.Errorf("words (-want +got):\n%s", d)
	}
	got := append(retarget(args, "/tmp/a.s", "/tmp/a.d", "-S"), sections...)
	want = []string{"ccache", "gcc", "-Wp,-MMD,/tmp/a.d", `-DKBUILD_MODNAME="a"`, `-DX=q "r"`, "-DSHARP=#1", "-S", "-o", "/tmp/a.s", "../fs/a.c", "-ffunction-sections", "-fdata-sections", "-fno-section-anchors"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("retargeted (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"ccache", "gcc"}, assembling(args, c.source)); d != "" {
		t.Errorf("for the assembler (-want +got):\n%s", d)
	}
}

func TestCommandsThatNeedAShell(t *testing.T) {
	for _, text := range []string{"a | b", "a > b", "a `b`", "a $HOME", `a "$HOME"`, "a 'b", "a && b"} {
		if args, err := (&cmdFile{text: text}).args(); err == nil {
			t.Errorf("%s: taken for the words %q", text, args)
		}
	}
}
