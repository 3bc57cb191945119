package e2e

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cloudkernel/tools/internal/cli"
	"cloudkernel/tools/internal/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kernlab": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

func TestScripts(t *testing.T) {
	if os.Getenv("CLOUDKERNEL_E2E") == "" {
		t.Skip("needs compilers, QEMU and minutes: set CLOUDKERNEL_E2E=1")
	}
	t.Parallel()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := store.DefaultDir()
	if err != nil {
		t.Fatal(err)
	}
	keep := map[string]string{"CLOUDKERNEL_CACHE": cache, "REPO": root, "LANG": "C.UTF-8"}
	for _, name := range []string{"HOME", "GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOFLAGS", "CCACHE_DIR", "XDG_CACHE_HOME"} {
		if v := os.Getenv(name); v != "" {
			keep[name] = v
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		keep["HOME"] = home
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for name, v := range keep {
				env.Setenv(name, v)
			}
			// A repository to break: the series, and all else by reference.
			repo := filepath.Join(env.WorkDir, "repo")
			if err := os.CopyFS(filepath.Join(repo, "kernel-patches"), os.DirFS(filepath.Join(root, "kernel-patches"))); err != nil {
				return err
			}
			for _, name := range []string{"go.mod", "go.sum", "tools", "kpatch-arm64", "qemu-tests", "ci"} {
				if err := os.Symlink(filepath.Join(root, name), filepath.Join(repo, name)); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"waitfile": waitFile, "gone": gone, "append": appendFile,
		},
	})
}

// waitFile waits until a file exists: waitfile FILE [SECONDS].
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	limit := 120
	if len(args) == 2 {
		limit, _ = strconv.Atoi(args[1])
	}
	for range limit * 10 {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%s did not appear", args[0])
}

// gone fails if a process is left with TEXT in its command line: gone TEXT.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	var left string
	for range 100 {
		if left = find(args[0]); left == "" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("left running: %s", left)
}

func find(text string) string {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err == nil && strings.Contains(strings.ReplaceAll(string(data), "\x00", " "), text) && filepath.Base(filepath.Dir(f)) != strconv.Itoa(os.Getpid()) {
			return strings.ReplaceAll(string(data), "\x00", " ")
		}
	}
	return ""
}

// appendFile adds the second file's text to the first: append FILE FROM.
func appendFile(ts *testscript.TestScript, neg bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteString(ts.ReadFile(args[1]))
	ts.Check(err)
	ts.Check(f.Close())
}
