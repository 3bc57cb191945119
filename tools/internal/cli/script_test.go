package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"cloudkernel/tools/internal/git"
	"cloudkernel/tools/internal/golden"
)

// TestMain lets the test binary be kernlab, so that scripts run it as a person
// would: in a process of its own, which can be killed.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kernlab": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}})
}

// TestScript runs the scripts in testdata/script, each in a directory of its
// own with a cache of its own. -update rewrites what they compare with.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       golden.Updating(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("CLOUDKERNEL_CACHE", env.WorkDir+"/.cache")
			env.Setenv("GIT_AUTHOR_DATE", "2026-01-05T10:00:00+0000")
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				env.Setenv("GIT_"+who+"_NAME", "A. Writer")
				env.Setenv("GIT_"+who+"_EMAIL", "writer@example.org")
			}
			env.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			return cond == "git" && git.Available(), nil
		},
	})
}
