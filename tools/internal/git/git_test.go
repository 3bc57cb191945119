package git

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func repo(t *testing.T) Repo {
	t.Helper()
	if !Available() {
		t.Skip("no git on this machine")
	}
	r := Repo{Dir: t.TempDir()}
	if _, err := r.Run(t.Context(), "init", "--quiet", "."); err != nil {
		t.Fatal(err)
	}
	return r
}

var someone = Person{Name: "Some <One>\n", Email: "one@example.org", When: time.Unix(1e9, 0).In(time.FixedZone("", -3*3600-1800))}

func TestImport(t *testing.T) {
	r := repo(t)
	im := r.Import(t.Context())
	files := map[string]struct {
		mode fs.FileMode
		data string
	}{
		"a b/ü.c":   {0o644, "x"},
		"run.sh":    {0o755, "#!/bin/sh\n"},
		"link":      {fs.ModeSymlink | 0o777, "run.sh"},
		"empty":     {0o644, ""},
		`q"\uote`:   {0o644, "q"},
		"goes/away": {0o644, "x"},
	}
	err := im.Commit("refs/heads/x", someone, someone, "first\n")
	for name, f := range files {
		if err == nil {
			err = im.File(name, f.mode, []byte(f.data))
		}
	}
	if err == nil {
		err = im.Commit("refs/heads/x", someone, someone, "second\n\nBody.\n")
	}
	if err == nil {
		err = im.Delete("goes/away")
	}
	if err := im.End(err); err != nil {
		t.Fatal(err)
	}
	delete(files, "goes/away")
	out, err := r.Run(t.Context(), "ls-tree", "-r", "-z", "x")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	if len(lines) != len(files) {
		t.Errorf("tree holds %q", lines)
	}
	for _, l := range lines {
		head, name, _ := strings.Cut(l, "\t")
		mode, _, _ := strings.Cut(head, " ")
		f, ok := files[name]
		want := map[fs.FileMode]string{0o644: "100644", 0o755: "100755", fs.ModeSymlink | 0o777: "120000"}[f.mode]
		if !ok || mode != want {
			t.Errorf("%s has mode %s, want %s", name, mode, want)
		}
		if data, err := r.Run(t.Context(), "cat-file", "blob", "x:"+name); err != nil || data != strings.TrimSuffix(f.data, "\n") {
			t.Errorf("%s holds %q, %v", name, data, err)
		}
	}
	log, err := r.Run(t.Context(), "log", "--format=%an|%ae|%aI|%cI|%B", "x")
	if want := "Some One|one@example.org|2001-09-08T22:16:40-03:30|2001-09-08T22:16:40-03:30|"; err != nil || log != want+"second\n\nBody.\n\n"+want+"first\n" {
		t.Errorf("log %q, %v", log, err)
	}
}

// TestImportGivenUp shows that an import that ends early leaves no ref.
func TestImportGivenUp(t *testing.T) {
	r := repo(t)
	im := r.Import(t.Context())
	if err := im.Commit("refs/heads/x", someone, someone, "first\n"); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := im.End(stop); !errors.Is(err, stop) {
		t.Errorf("error %v, want the one given", err)
	}
	if ok, err := r.OK(t.Context(), "show-ref", "--verify", "--quiet", "refs/heads/x"); ok || err != nil {
		t.Errorf("the ref is there: %t, %v", ok, err)
	}
	// And one that git itself ends says what git said.
	im = r.Import(t.Context())
	err := im.Reset("refs/heads/x", "0123456789012345678901234567890123456789")
	for i := 0; i < 100000 && err == nil; i++ {
		err = im.File("f", 0o644, make([]byte, 1000))
	}
	if err := im.End(err); err == nil || !strings.Contains(err.Error(), "git fast-import: fatal:") {
		t.Errorf("error %v", err)
	}
}

func TestErrors(t *testing.T) {
	r := repo(t)
	_, err := r.Run(t.Context(), "-c", "a.b=c", "rev-parse", "--verify", "nothing")
	var e *Error
	if !errors.As(err, &e) || e.Code != 128 || !strings.HasPrefix(err.Error(), "git rev-parse: fatal: ") {
		t.Errorf("error %v", err)
	}
	if ok, err := r.OK(t.Context(), "rev-parse", "--verify", "nothing"); ok || err == nil {
		t.Errorf("OK took exit status 128 for an answer: %t, %v", ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Run(ctx, "status"); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	t.Setenv("PATH", "")
	if _, err := r.Run(t.Context(), "status"); err == nil || !strings.Contains(err.Error(), "apt-get install git") {
		t.Errorf("without git: %v", err)
	}
}

// TestSurroundings shows that a git command around us does not lead ours astray.
func TestSurroundings(t *testing.T) {
	r := repo(t)
	t.Setenv("GIT_DIR", "/nowhere")
	t.Setenv("GIT_INDEX_FILE", "/nowhere/index")
	hooks := filepath.Join(r.Dir, ".git", "hooks")
	if err := os.MkdirAll(hooks, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hooks, "pre-commit"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), "commit", "--quiet", "--allow-empty", "-m", "x"); err != nil {
		t.Error(err)
	}
}
