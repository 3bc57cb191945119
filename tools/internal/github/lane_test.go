package github

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/golden"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

func TestLanes(t *testing.T) {
	interrupted := run("arm64", "default", outcome.Pass)
	interrupted.Interrupted = true
	both := run("arm64", "default", outcome.Pass)
	both.Cases = append(both.Cases, run("x86_64", "default", outcome.Fail).Cases...)
	known := run("arm64", "default", outcome.Pass, outcome.Fail)
	known.Cases[1].Known = &result.Known{Reason: "r"}
	tests := []struct {
		name    string
		reports []Report
		expect  map[string]int
		want    []string
	}{
		{"a pass", []Report{{Run: run("arm64", "default", outcome.Pass)}}, nil,
			[]string{"arm64-default success: 1 passed, 0 failed, 0 skipped"}},
		{"shards", []Report{{Run: run("arm64", "default", outcome.Pass)}, {Run: run("arm64", "default", outcome.Hang)}}, map[string]int{"arm64-default": 2},
			[]string{"arm64-default failure: hang: 1 passed, 1 failed, 0 skipped"}},
		{"a shard that died", []Report{{Run: run("arm64", "default", outcome.Pass)}}, map[string]int{"arm64-default": 2},
			[]string{"arm64-default error: infra: 1 passed, 0 failed, 0 skipped; 1 of 2 shards reported"}},
		{"a lane that died", nil, map[string]int{"x86_64-debug": 1},
			[]string{"x86_64-debug error: infra: 0 passed, 0 failed, 0 skipped; 0 of 1 shards reported"}},
		{"an interrupted run", []Report{{Run: interrupted}}, nil,
			[]string{"arm64-default error: infra: 1 passed, 0 failed, 0 skipped; interrupted"}},
		{"nothing judged", []Report{{Run: run("arm64", "default", outcome.Skip)}}, nil,
			[]string{"arm64-default error: skip: 0 passed, 0 failed, 1 skipped"}},
		{"a known failure", []Report{{Run: known}}, nil,
			[]string{"arm64-default success: 1 passed, 0 failed, 1 skipped"}},
		{"two kernels in one run", []Report{{Run: both}}, nil, []string{
			"arm64-default success: 1 passed, 0 failed, 0 skipped",
			"x86_64-default failure: fail: 0 passed, 1 failed, 0 skipped"}},
		{"a name of one's own", []Report{{Lane: "nightly", Run: both}, {Lane: "nightly", Run: &result.Run{}}}, map[string]int{"nightly": 2},
			[]string{"nightly failure: fail: 1 passed, 1 failed, 0 skipped"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, l := range Lanes(tt.reports, tt.expect) {
				got = append(got, fmt.Sprintf("%s %s: %s", l.Name, l.State(), l.Description()))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestComment(t *testing.T) {
	bad := run("x86_64", "debug", outcome.Pass, outcome.Fail, outcome.Panic)
	bad.Cases[2].Reason = "BUG: in `foo` | @everyone <b>"
	bad.Cases[2].Splats = []result.Splat{{Kind: "bug", Title: "BUG: in foo", Text: "raw", Decoded: "BUG: in foo\n```\n foo+0x1/0x2 (mm/foo.c:7)"}}
	bad.Cases[2].Console = []string{"</details> @everyone"}
	lanes := Lanes([]Report{{Run: run("arm64", "default", outcome.Pass, outcome.Skip)}, {Run: bad}}, map[string]int{"x86_64-debug": 2})
	golden.Check(t, "testdata/comment.md", Comment(lanes, testTarget))
	golden.Check(t, "testdata/good.md", Comment(lanes[:1], Target{SHA: "abc"}))
}

// TestCommentFits: however much there is to say, the comment stays below
// GitHub's limit, says all that fits, and counts the rest.
func TestCommentFits(t *testing.T) {
	for _, n := range []int{1, 50, 5000} {
		r := run("arm64", "default")
		for i := range n {
			r.Cases = append(r.Cases, result.Case{Name: fmt.Sprintf("topic/case-%d", i), Arch: "arm64", Profile: "default", Outcome: outcome.Fail,
				Reason: strings.Repeat("é", 500), Console: []string{strings.Repeat("漢", 2000)}, Repro: "kernlab test"})
		}
		r.Duration = time.Hour
		got := Comment(Lanes([]Report{{Run: r}}, nil), testTarget)
		if len(got) > 65000 {
			t.Errorf("%d failures: %d bytes", n, len(got))
		}
		if n > 1 && len(got) < 55000 {
			t.Errorf("%d failures: only %d bytes are used", n, len(got))
		}
		if more := strings.Contains(got, "more failures"); more != (n > 50) {
			t.Errorf("%d failures: says that there are more: %v", n, more)
		}
		if !strings.HasSuffix(got, "[full logs]("+testTarget.RunURL+").\n") {
			t.Errorf("%d failures: ends in %q", n, got[len(got)-60:])
		}
	}
}

func TestCode(t *testing.T) {
	for in, want := range map[string]string{
		"plain":     "`plain`",
		"a `b` c":   "`` a `b` c ``",
		"a | b\nc":  "`a | b c`",
		"":          "(none)",
		"``two`` ":  "``` ``two``  ```",
		"@everyone": "`@everyone`",
	} {
		if got := code(in); got != want {
			t.Errorf("code(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTargetFromEnv(t *testing.T) {
	event := func(text string) string {
		file := filepath.Join(t.TempDir(), "event.json")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	actions := map[string]string{
		"GITHUB_API_URL": "https://ghe.example.org/api/v3", "GITHUB_SERVER_URL": "https://ghe.example.org",
		"GITHUB_REPOSITORY": "acme/cloudkernel", "GITHUB_SHA": "merge", "GITHUB_RUN_ID": "12", "GITHUB_REF": "refs/heads/main",
	}
	base := Target{API: "https://ghe.example.org/api/v3", Owner: "acme", Repo: "cloudkernel", SHA: "merge",
		RunURL: "https://ghe.example.org/acme/cloudkernel/actions/runs/12"}
	with := func(sha string, pr int) Target {
		t := base
		t.SHA, t.PR = sha, pr
		return t
	}
	tests := []struct {
		name string
		more map[string]string
		want Target
	}{
		{"a push", map[string]string{"GITHUB_EVENT_PATH": event(`{"ref": "refs/heads/main"}`)}, base},
		{"a pull request", map[string]string{"GITHUB_REF": "refs/pull/7/merge",
			"GITHUB_EVENT_PATH": event(`{"pull_request": {"number": 7, "head": {"sha": "head"}}}`)}, with("head", 7)},
		{"a ref alone", map[string]string{"GITHUB_REF": "refs/pull/7/merge"}, with("merge", 7)},
		{"after another workflow", map[string]string{
			"GITHUB_EVENT_PATH": event(`{"workflow_run": {"head_sha": "head", "pull_requests": [{"number": 9}]}}`)}, with("head", 9)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := TargetFromEnv(func(k string) string {
				if v, ok := tt.more[k]; ok {
					return v
				}
				return actions[k]
			})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	if _, err := TargetFromEnv(func(k string) string { return map[string]string{"GITHUB_EVENT_PATH": event("{")}[k] }); err == nil {
		t.Error("an event that is no JSON is taken")
	}
	if got, err := TargetFromEnv(func(string) string { return "" }); err != nil || got != (Target{}) {
		t.Errorf("outside Actions: %+v, %v", got, err)
	}
}

func TestTargetCheck(t *testing.T) {
	for _, tt := range []struct {
		change func(*Target)
		want   string
	}{
		{func(*Target) {}, ""},
		{func(t *Target) { t.Repo = "" }, "--repository"},
		{func(t *Target) { t.SHA = "" }, "--sha"},
		{func(t *Target) { t.PR = -1 }, "--pr"},
		{func(t *Target) { t.API = "ghe.example.org" }, "no address"},
	} {
		target := testTarget
		tt.change(&target)
		err := target.Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", target, err, tt.want)
		}
	}
}

func TestAPI(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "https://api.github.com/",
		"https://api.github.com":         "https://api.github.com/",
		"https://api.github.com/":        "https://api.github.com/",
		"https://ghe.example.org":        "https://ghe.example.org/api/v3/",
		"https://ghe.example.org/api/v3": "https://ghe.example.org/api/v3/",
		"http://ghe.example.org:8080/":   "http://ghe.example.org:8080/api/v3/",
	} {
		got, err := (&Target{API: in}).api()
		if err != nil || got.String() != want {
			t.Errorf("api %q: %v, %v, want %s", in, got, err, want)
		}
	}
}
