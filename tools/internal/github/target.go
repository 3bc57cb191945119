package github

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Target says where to publish.
type Target struct {
	API    string // address of the API; "" is github.com's
	Owner  string
	Repo   string
	SHA    string // the commit that the statuses are of
	PR     int    // the pull request to comment on; 0 for none
	RunURL string // page of the CI run, which the statuses and the comment link to
}

// TargetFromEnv returns what GitHub Actions says of the workflow it runs
// (https://docs.github.com/actions/reference/variables-reference). What it does
// not say is empty. For a pull request the commit is the request's head, not
// the merge that is checked out: people look at the former.
func TargetFromEnv(getenv func(string) string) (Target, error) {
	t := Target{API: getenv("GITHUB_API_URL"), SHA: getenv("GITHUB_SHA")}
	t.Owner, t.Repo, _ = strings.Cut(getenv("GITHUB_REPOSITORY"), "/")
	if server, id := getenv("GITHUB_SERVER_URL"), getenv("GITHUB_RUN_ID"); server != "" && id != "" && t.Repo != "" {
		t.RunURL = fmt.Sprintf("%s/%s/%s/actions/runs/%s", server, t.Owner, t.Repo, id)
	}
	if number, ok := strings.CutPrefix(getenv("GITHUB_REF"), "refs/pull/"); ok {
		number, _, _ = strings.Cut(number, "/")
		t.PR, _ = strconv.Atoi(number)
	}
	if path := getenv("GITHUB_EVENT_PATH"); path != "" {
		if err := t.readEvent(path); err != nil {
			return t, fmt.Errorf("read the event that GITHUB_EVENT_PATH names: %w", err)
		}
	}
	return t, nil
}

// readEvent takes the pull request of an event, if it is of one.
func (t *Target) readEvent(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var event struct {
		PullRequest struct {
			Number int
			Head   struct{ SHA string }
		} `json:"pull_request"`
		WorkflowRun struct {
			HeadSHA      string                 `json:"head_sha"`
			PullRequests []struct{ Number int } `json:"pull_requests"`
		} `json:"workflow_run"`
	}
	if err := json.Unmarshal(data, &event); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if event.PullRequest.Number != 0 {
		t.PR, t.SHA = event.PullRequest.Number, event.PullRequest.Head.SHA
	}
	if run := event.WorkflowRun; run.HeadSHA != "" {
		t.SHA = run.HeadSHA
		if len(run.PullRequests) > 0 {
			t.PR = run.PullRequests[0].Number
		}
	}
	return nil
}

// Check returns what is missing of t, with the flag and the variable that give it.
func (t *Target) Check() error {
	switch {
	case t.Owner == "" || t.Repo == "" || strings.Contains(t.Repo, "/"):
		return fmt.Errorf("which repository? give --repository OWNER/NAME, or set GITHUB_REPOSITORY")
	case t.SHA == "":
		return fmt.Errorf("which commit? give --sha, or set GITHUB_SHA")
	case t.PR < 0:
		return fmt.Errorf("--pr %d is no pull request", t.PR)
	}
	_, err := t.api()
	return err
}

// api returns the address that API calls are relative to. An enterprise
// server's bare address is taken for that of its API, which is below /api/v3.
func (t *Target) api() (*url.URL, error) {
	address := t.API
	if address == "" {
		address = "https://api.github.com"
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%q is no address of an API; it looks like https://api.github.com or https://HOST/api/v3", address)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/"
		if !strings.HasPrefix(u.Host, "api.") {
			u.Path = "/api/v3/"
		}
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, nil
}
