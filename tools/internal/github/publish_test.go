package github

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

var (
	testTarget = Target{Owner: "acme", Repo: "cloudkernel", SHA: "4f2a99b1c0de4f2a99b1c0de4f2a99b1c0de0000", PR: 7, RunURL: "https://ci.example.org/1"}
	noon       = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func run(arch, profile string, outcomes ...outcome.Outcome) *result.Run {
	r := &result.Run{Duration: 83 * time.Second, Kernels: []result.KernelInfo{{Arch: arch, Profile: profile}}}
	for i, o := range outcomes {
		c := result.Case{Name: fmt.Sprintf("topic/case-%d", i), Arch: arch, Profile: profile, Outcome: o, Repro: fmt.Sprintf("kernlab test topic/case-%d", i)}
		if o != outcome.Pass {
			c.Reason = "a reason"
		}
		r.Cases = append(r.Cases, c)
	}
	return r
}

func testLanes() []Lane {
	return Lanes([]Report{
		{Run: run("arm64", "default", outcome.Pass, outcome.Pass, outcome.Skip)},
		{Run: run("x86_64", "debug", outcome.Pass, outcome.Panic)},
	}, nil)
}

type publication struct {
	*fakeGitHub
	clock *fakeClock
	said  []string
}

func (p *publication) publish(ctx context.Context, lanes []Lane) error {
	target := testTarget
	target.API = p.srv.URL
	return Publish(ctx, target, lanes, Options{
		Token: testToken, Prefix: "cloudkernel/", MaxWait: 5 * time.Minute,
		Say:   func(s string) { p.said = append(p.said, s) },
		clock: p.clock, base: http.DefaultTransport.(*http.Transport).Clone(),
	})
}

func newPublication(t *testing.T) *publication {
	return &publication{fakeGitHub: newFakeGitHub(t), clock: &fakeClock{now: noon}}
}

func TestPublish(t *testing.T) {
	p := newPublication(t)
	if err := p.publish(t.Context(), testLanes()); err != nil {
		t.Fatal(err)
	}
	want := map[string]fakeStatus{
		"cloudkernel/arm64-default": {"success", "2 passed, 0 failed, 1 skipped", "cloudkernel/arm64-default", testTarget.RunURL},
		"cloudkernel/x86_64-debug":  {"failure", "panic: 1 passed, 1 failed, 0 skipped", "cloudkernel/x86_64-debug", testTarget.RunURL},
	}
	if d := cmp.Diff(want, p.statuses); d != "" {
		t.Errorf("statuses (-want +got):\n%s", d)
	}
	if len(p.comments) != 1 || !strings.HasPrefix(p.comments[0].Body, marker) || !strings.Contains(p.comments[0].Body, "topic/case-1") {
		t.Errorf("comments: %+v", p.comments)
	}
	wantLog := []string{
		"GET /commits/" + testTarget.SHA + "/status",
		"POST /statuses/" + testTarget.SHA,
		"POST /statuses/" + testTarget.SHA,
		"GET /issues/7/comments",
		"POST /issues/7/comments",
	}
	if d := cmp.Diff(wantLog, p.log); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
	if len(p.clock.slept) != 0 {
		t.Errorf("waited %v, and nothing was wrong", p.clock.slept)
	}

	// The same again reads, and writes nothing.
	p.log = nil
	if err := p.publish(t.Context(), testLanes()); err != nil {
		t.Fatal(err)
	}
	for _, line := range p.log {
		if !strings.HasPrefix(line, "GET ") {
			t.Errorf("publishing the same again: %s", line)
		}
	}

	// Another result edits the comment and sets only the status that changed.
	p.log = nil
	lanes := Lanes([]Report{
		{Run: run("arm64", "default", outcome.Pass, outcome.Pass, outcome.Skip)},
		{Run: run("x86_64", "debug", outcome.Pass, outcome.Pass)},
	}, nil)
	if err := p.publish(t.Context(), lanes); err != nil {
		t.Fatal(err)
	}
	if len(p.comments) != 1 || strings.Contains(p.comments[0].Body, "panic") {
		t.Errorf("comments after the repair: %+v", p.comments)
	}
	wantLog = []string{
		"GET /commits/" + testTarget.SHA + "/status",
		"POST /statuses/" + testTarget.SHA,
		"GET /issues/7/comments",
		"PATCH /issues/comments/1",
	}
	if d := cmp.Diff(wantLog, p.log); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
}

func TestNoPullRequest(t *testing.T) {
	p := newPublication(t)
	target := testTarget
	target.API, target.PR = p.srv.URL+"/api/v3", 0
	err := Publish(t.Context(), target, testLanes(), Options{Token: testToken, Say: func(string) {}})
	if err != nil || len(p.statuses) != 2 || len(p.comments) != 0 {
		t.Errorf("%v, %d statuses without a prefix, %d comments", err, len(p.statuses), len(p.comments))
	}
}

// TestCommentIsFound: among pages of others' comments, quotations of ours, and
// one that only begins like ours.
func TestCommentIsFound(t *testing.T) {
	p := newPublication(t)
	p.pageSize = 3
	for i := range 7 {
		p.comments = append(p.comments, fakeComment{ID: int64(i + 1), Body: "> " + marker})
	}
	p.comments[1] = fakeComment{ID: 2, Body: marker + "\nnot by us", foreign: true}
	p.comments[5] = fakeComment{ID: 6, Body: marker + "\nold"}
	if err := p.publish(t.Context(), testLanes()); err != nil {
		t.Fatal(err)
	}
	if len(p.comments) != 7 || !strings.Contains(p.comments[5].Body, "topic/case-1") {
		t.Errorf("%d comments, the sixth is %q", len(p.comments), p.comments[5].Body)
	}
	if p.comments[1].Body != marker+"\nnot by us" {
		t.Errorf("somebody else's comment was edited: %q", p.comments[1].Body)
	}
}

func TestRetries(t *testing.T) {
	reset := noon.Add(90 * time.Second)
	limited := map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(reset.Unix())}
	tests := []struct {
		name    string
		answers []answer
		slept   []time.Duration
		said    string
	}{
		{"answers of 5xx, with growing pauses", []answer{{status: 502}, {status: 503}, {status: 500}},
			[]time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, "502"},
		{"a connection that is cut", []answer{{match: "POST /statuses"}},
			[]time.Duration{time.Second}, "EOF"},
		{"a secondary limit with Retry-After", []answer{{status: 403, header: map[string]string{"Retry-After": "42"}}},
			[]time.Duration{42 * time.Second}, "secondary rate limit is reached: again in 42s (waiting 42s in all, at most 5m0s)"},
		{"429 with Retry-After as a date", []answer{{status: 429, header: map[string]string{"Retry-After": noon.Add(30 * time.Second).Format(http.TimeFormat)}}},
			[]time.Duration{30 * time.Second}, "secondary"},
		{"a secondary limit that names no time", []answer{{status: 403, message: "You have exceeded a secondary rate limit."}},
			[]time.Duration{time.Minute}, "secondary"},
		{"429 that says nothing", []answer{{status: 429}},
			[]time.Duration{time.Minute}, "secondary"},
		{"the primary limit", []answer{{status: 403, header: limited, message: "API rate limit exceeded"}},
			[]time.Duration{90 * time.Second}, "rate limit is used up: again in 1m30s"},
		{"the last request that the limit allows", []answer{{match: "POST /statuses", after: true, status: 201, header: limited}},
			[]time.Duration{90 * time.Second}, "used up"},
		{"a comment refused for a limit", []answer{{match: "POST /issues", status: 403, header: map[string]string{"Retry-After": "5"}}},
			[]time.Duration{5 * time.Second}, "secondary"},
		{"a comment not made, its answer lost", []answer{{match: "POST /issues"}},
			[]time.Duration{time.Second}, "may not have been made"},
		{"a comment made, its answer lost", []answer{{match: "POST /issues", after: true}},
			[]time.Duration{time.Second}, "may not have been made"},
		{"a comment made, and 502", []answer{{match: "POST /issues", after: true, status: 502}},
			[]time.Duration{time.Second}, "may not have been made"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPublication(t)
			p.answers = tt.answers
			if err := p.publish(t.Context(), testLanes()); err != nil {
				t.Fatal(err)
			}
			if len(p.answers) != 0 {
				t.Errorf("%d answers were not asked for", len(p.answers))
			}
			if d := cmp.Diff(tt.slept, p.clock.slept); d != "" {
				t.Errorf("pauses (-want +got):\n%s", d)
			}
			if !strings.Contains(strings.Join(p.said, "\n"), tt.said) {
				t.Errorf("told %q, want something with %q", p.said, tt.said)
			}
			if len(p.statuses) != 2 || len(p.comments) != 1 {
				t.Errorf("%d statuses, %d comments; want 2 and 1", len(p.statuses), len(p.comments))
			}
		})
	}
}

func TestGivesUp(t *testing.T) {
	many := func(a answer) []answer { return slices.Repeat([]answer{a}, 40) }
	tests := []struct {
		name     string
		answers  []answer
		requests int    // of the kind that is refused
		err      string // a part of it
	}{
		{"a wrong token", []answer{{status: 401, message: "Bad credentials"}, {match: "GET /issues", status: 401}}, 1,
			"GITHUB_TOKEN: it is wrong, or expired (Bad credentials)"},
		{"a token that only reads", []answer{{match: "POST /statuses", status: 403, message: "Resource not accessible by integration"},
			{match: "POST /statuses", status: 403}, {match: "POST /issues", status: 403}}, 1,
			"statuses: write"},
		{"another repository", []answer{{status: 404, message: "Not Found"}, {status: 404}}, 1, "no such repository"},
		{"a commit that is not there", []answer{{match: "POST /statuses", status: 422, message: "No commit found for SHA"}, {match: "POST /statuses", status: 422}}, 1, "No commit found"},
		{"a server that is down", many(answer{status: 503}), maxTries, "503"},
		{"a limit longer than we may wait", []answer{{status: 403, header: map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(noon.Add(time.Hour).Unix())}}}, 1,
			"rate limit is used up: waiting until 13:00:00 would be longer than the 5m0s that all waiting may take"},
		{"limits that add up to more", many(answer{status: 429, header: map[string]string{"Retry-After": "100"}}), 4, "longer than the 5m0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPublication(t)
			p.answers = tt.answers
			err := p.publish(t.Context(), testLanes()[:1])
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want one with %q", err, tt.err)
			}
			if outcome.Of(err) != outcome.Infra {
				t.Errorf("outcome %s, want infra", outcome.Of(err))
			}
			if strings.Contains(err.Error(), testToken) || strings.Contains(strings.Join(p.said, " "), testToken) {
				t.Errorf("the token is told: %v %q", err, p.said)
			}
			refused := 0
			for _, line := range p.log {
				if strings.HasPrefix(line, tt.answers[0].match) && (tt.answers[0].match != "" || line == p.log[0]) {
					refused++
				}
			}
			if refused != tt.requests {
				t.Errorf("%d requests, want %d: %q", refused, tt.requests, p.log)
			}
		})
	}
}

func TestNoToken(t *testing.T) {
	err := Publish(t.Context(), testTarget, testLanes(), Options{})
	if err == nil || outcome.Of(err) != outcome.Infra {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"GITHUB_TOKEN", "statuses: write", "pull-requests: write", "repo:status"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
}

func TestInterrupted(t *testing.T) {
	p := newPublication(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.clock.hook = cancel
	p.answers = []answer{{status: 503}}
	if err := p.publish(ctx, testLanes()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if len(p.log) != 1 {
		t.Errorf("%d requests after the interrupt: %q", len(p.log)-1, p.log)
	}
}

// TestTokenStaysHere: a redirection to another host does not take the token along.
func TestTokenStaysHere(t *testing.T) {
	var got []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		reply(w, http.StatusOK, map[string]any{"statuses": []fakeStatus{}})
	}))
	defer other.Close()
	p := newPublication(t)
	p.answers = []answer{{match: "GET /commits", status: 307, header: map[string]string{"Location": other.URL + "/elsewhere"}}}
	if err := p.publish(t.Context(), testLanes()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0] != "" {
		t.Errorf("the other host was given Authorization %q", got)
	}
}
