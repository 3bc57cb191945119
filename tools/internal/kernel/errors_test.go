package kernel

import (
	"strings"
	"testing"
)

func TestDigestFindsTheFirstError(t *testing.T) {
	for _, tt := range []struct {
		name, log, first string
		more             int
		full             bool
	}{
		{
			name: "a compiler's error with what belongs to it",
			log: `  CC      fs/proc/array.o
In file included from ../fs/proc/array.c:55:
../fs/proc/array.c: In function ‘proc_task_name’:
../fs/proc/array.c:103:9: error: ‘nosuch’ undeclared (first use in this function)
  103 |         nosuch = 1;
      |         ^~~~~~
../fs/proc/array.c:103:9: note: each undeclared identifier is reported only once
../fs/proc/array.c:110:2: error: expected ‘;’
make[4]: *** [../scripts/Makefile.build:229: fs/proc/array.o] Error 1
make: *** [Makefile:236: __sub-make] Error 2
`,
			first: "fs/proc/array.c:103:9: error: ‘nosuch’ undeclared (first use in this function)\n  103 |         nosuch = 1;\n      |         ^~~~~~",
			more:  1,
		},
		{
			name:  "a missing header",
			log:   "../kernel/x.c:3:10: fatal error: nosuch.h: No such file or directory\n    3 | #include <nosuch.h>\ncompilation terminated.\n",
			first: "kernel/x.c:3:10: fatal error: nosuch.h: No such file or directory\n    3 | #include <nosuch.h>",
		},
		{
			name:  "the linker",
			log:   "  LD      .tmp_vmlinux1\naarch64-linux-gnu-ld: fs/proc/x.o: in function `f':\nx.c:(.text+0x4): undefined reference to `nosuch'\nmake[2]: *** [vmlinux] Error 1\n",
			first: "x.c:(.text+0x4): undefined reference to `nosuch'",
		},
		{
			name:  "modpost",
			log:   "  MODPOST Module.symvers\nERROR: modpost: \"nosuch\" [drivers/x.ko] undefined!\nmake[2]: *** [x] Error 1\n",
			first: "ERROR: modpost: \"nosuch\" [drivers/x.ko] undefined!",
		},
		{
			name:  "only make complains",
			log:   "  CC      a.o\nmake[3]: *** No rule to make target 'kernel/nosuch.o', needed by 'kernel/built-in.a'.  Stop.\n",
			first: "make[3]: *** No rule to make target 'kernel/nosuch.o', needed by 'kernel/built-in.a'.  Stop.",
		},
		{
			name:  "a full disk",
			log:   "/tmp/cc1.s: fatal error: error writing to /tmp/cc1.s: No space left on device\n",
			first: "/tmp/cc1.s: fatal error: error writing to /tmp/cc1.s: No space left on device",
			full:  true,
		},
		{name: "nothing said", log: "  CC      a.o\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, full := digest(strings.NewReader(tt.log))
			if e.First != tt.first || e.More != tt.more || full != tt.full {
				t.Errorf("got first %q, more %d, full %v", e.First, e.More, full)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	log := "../fs/a.c:1:2: warning: unused variable ‘x’ [-Wunused-variable]\n  CC x.o\n../fs/a.c:1:2: warning: unused variable ‘x’ [-Wunused-variable]\n"
	got := warnings(strings.NewReader(log))
	if len(got) != 1 || got[0] != "fs/a.c:1:2: warning: unused variable ‘x’ [-Wunused-variable]" {
		t.Errorf("got %q", got)
	}
}
