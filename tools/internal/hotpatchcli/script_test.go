package hotpatchcli

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"cloudkernel/tools/internal/proc"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hotpatch": func() {
			os.Exit(Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs the scripts of testdata/script; -update rewrites what they
// expect.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Condition: func(cond string) (bool, error) {
			_, err := exec.LookPath(crossCompiler)
			return cond == "cc" && err == nil, nil
		},
		Cmds:          map[string]func(ts *testscript.TestScript, neg bool, args []string){"cc": compile},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

const crossCompiler = "aarch64-linux-gnu-gcc"

// compile is the script command "cc SOURCE OBJECT": it compiles as hotpatch
// diff wants it.
func compile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cc source object")
	}
	cmd := proc.Command(context.Background(), crossCompiler, "-O2", "-g", "-ffunction-sections", "-fdata-sections", "-fno-section-anchors",
		"-mgeneral-regs-only", "-fpatchable-function-entry=2", "-c", "-o", ts.MkAbs(args[1]), args[0])
	cmd.Dir = ts.MkAbs(".")
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("%v\n%s", err, out)
	}
}
