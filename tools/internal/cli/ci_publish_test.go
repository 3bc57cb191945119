package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/report"
	"cloudkernel/tools/internal/result"
)

// kernlab runs the command line and returns its exit code and both outputs.
func kernlab(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Run(t.Context(), args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func writeReport(t *testing.T, outcomes ...outcome.Outcome) string {
	t.Helper()
	r := &result.Run{}
	for _, o := range outcomes {
		r.Cases = append(r.Cases, result.Case{Name: "smoke/" + string(o), Arch: "arm64", Profile: "default", Outcome: o, Reason: "r"})
	}
	var b bytes.Buffer
	if err := report.JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// clearEnv hides the CI system that the test itself may run in.
func clearEnv(t *testing.T) {
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "GITHUB_") {
			t.Setenv(name, "")
		}
	}
}

func TestCIPublish(t *testing.T) {
	clearEnv(t)
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/comments") {
			_, _ = w.Write([]byte("[]"))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{})
	}))
	defer srv.Close()
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"pull_request": {"number": 3, "head": {"sha": "cafe"}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GITHUB_TOKEN", "tok")
	t.Setenv("GITHUB_API_URL", srv.URL+"/api/v3")
	t.Setenv("GITHUB_REPOSITORY", "acme/kernel")
	t.Setenv("GITHUB_EVENT_PATH", event)

	one, two := writeReport(t, outcome.Pass), writeReport(t, outcome.Fail)
	code, _, errs := kernlab(t, "ci", "publish", "--report", "mine="+one, "--report", two, "--expect", "mine=1")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	want := []string{
		"GET /api/v3/repos/acme/kernel/commits/cafe/status Bearer tok",
		"POST /api/v3/repos/acme/kernel/statuses/cafe Bearer tok",
		"POST /api/v3/repos/acme/kernel/statuses/cafe Bearer tok",
		"GET /api/v3/repos/acme/kernel/issues/3/comments Bearer tok",
		"POST /api/v3/repos/acme/kernel/issues/3/comments Bearer tok",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("requests\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, say := range []string{"status cloudkernel/mine: success", "status cloudkernel/arm64-default: failure", "commented on pull request 3"} {
		if !strings.Contains(errs, say) {
			t.Errorf("said %q, want %q", errs, say)
		}
	}
	if strings.Contains(errs, "tok ") {
		t.Errorf("the token is told: %q", errs)
	}
}

func TestCIPublishRefuses(t *testing.T) {
	clearEnv(t)
	good := writeReport(t, outcome.Pass)
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"schema"`), 0o644); err != nil {
		t.Fatal(err)
	}
	where := []string{"--repository", "a/b", "--sha", "cafe"}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{}, 2, "--report"},
		{[]string{"--report", good}, 2, "--repository"},
		{[]string{"--report", good, "--repository", "a/b"}, 2, "--sha"},
		{[]string{"--report", good, "--expect", "lane=many"}, 2, "many"},
		{append(where, "--report", good, "--api-url", "nowhere"), 2, "nowhere"},
		{append(where, "--report", good, "more"), 2, "--help"},
		{append(where, "--report", good), 6, "GITHUB_TOKEN"},
		{append(where, "--report", good+".none"), 6, good + ".none"},
		{append(where, "--report", "lane="+broken), 6, broken},
	} {
		code, _, errs := kernlab(t, append([]string{"ci", "publish"}, tt.args...)...)
		if code != tt.code || !strings.Contains(errs, tt.want) {
			t.Errorf("%q: exit %d, %q; want %d and %q", tt.args, code, errs, tt.code, tt.want)
		}
	}
}

func TestCIPublishDryRun(t *testing.T) {
	clearEnv(t)
	code, out, errs := kernlab(t, "ci", "publish", "--report", writeReport(t, outcome.Panic), "--repository", "a/b", "--sha", "cafe", "--dry-run")
	if code != 0 || !strings.HasPrefix(out, "status cloudkernel/arm64-default: failure, panic: 0 passed, 1 failed, 0 skipped\n") || !strings.Contains(out, "smoke/panic") {
		t.Errorf("exit %d, out %q, err %q", code, out, errs)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"doctor", "more"}, {"doctor", "--nonsense"}, {"doctor", "--for", "boot"}, {"ci", "nonsense"}, {"cache", "nonsense"}} {
		if code, _, errs := kernlab(t, args...); code != outcome.ExitUsage || errs == "" {
			t.Errorf("%q: exit %d, %q; want %d", args, code, errs, outcome.ExitUsage)
		}
	}
}
