package github

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const testToken = "token-of-the-test"

// fakeGitHub is a server with the part of GitHub's API that publishing uses.
// It checks every request, and answers the next ones with what a test queues.
type fakeGitHub struct {
	t   *testing.T
	srv *httptest.Server

	mu       sync.Mutex
	log      []string // "METHOD path" of every request
	statuses map[string]fakeStatus
	comments []fakeComment
	answers  []answer // of the next requests, in order
	pageSize int
}

type fakeStatus struct {
	State       string `json:"state"`
	Description string `json:"description"`
	Context     string `json:"context"`
	TargetURL   string `json:"target_url"`
}

type fakeComment struct {
	ID      int64  `json:"id"`
	Body    string `json:"body"`
	foreign bool   // somebody else's: we may not edit it
}

// answer is given instead of doing the work, or after it.
type answer struct {
	match   string // prefix of "METHOD path" that it waits for; "" is any
	after   bool   // the work is done, and the answer lost
	status  int    // 0: the connection is cut
	header  map[string]string
	message string
}

const repoPath = "/api/v3/repos/acme/cloudkernel"

func newFakeGitHub(t *testing.T) *fakeGitHub {
	g := &fakeGitHub{t: t, statuses: map[string]fakeStatus{}, pageSize: 100}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+repoPath+"/commits/{sha}/status", g.getStatuses)
	mux.HandleFunc("POST "+repoPath+"/statuses/{sha}", g.postStatus)
	mux.HandleFunc("GET "+repoPath+"/issues/{pr}/comments", g.getComments)
	mux.HandleFunc("POST "+repoPath+"/issues/{pr}/comments", g.postComment)
	mux.HandleFunc("PATCH "+repoPath+"/issues/comments/{id}", g.patchComment)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("unexpected request %s %s", r.Method, r.URL)
		http.Error(w, `{"message": "Not Found"}`, http.StatusNotFound)
	})
	g.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.check(r)
		line := r.Method + " " + strings.TrimPrefix(r.URL.Path, repoPath)
		g.log = append(g.log, line)
		if len(g.answers) > 0 && strings.HasPrefix(line, g.answers[0].match) {
			a := g.answers[0]
			g.answers = g.answers[1:]
			if a.after {
				mux.ServeHTTP(httptest.NewRecorder(), r)
			}
			a.give(w)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(g.srv.Close)
	return g
}

func (a answer) give(w http.ResponseWriter) {
	if a.status == 0 {
		panic(http.ErrAbortHandler)
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": a.message})
}

func (g *fakeGitHub) check(r *http.Request) {
	if got := r.Header.Get("Authorization"); got != "Bearer "+testToken {
		g.t.Errorf("%s %s: Authorization is %q", r.Method, r.URL.Path, got)
	}
	if got := r.Header.Get("Accept"); !strings.Contains(got, "application/vnd.github") {
		g.t.Errorf("%s %s: Accept is %q", r.Method, r.URL.Path, got)
	}
	if strings.Contains(r.URL.String(), testToken) {
		g.t.Errorf("the token is in the address %s", r.URL)
	}
}

func (g *fakeGitHub) read(r *http.Request, v any) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Error(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		g.t.Errorf("%s %s: body %q: %v", r.Method, r.URL.Path, data, err)
	}
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// page returns the part of n things that the request asks for, and links to
// the next part.
func (g *fakeGitHub) page(w http.ResponseWriter, r *http.Request, n int) (from, to int) {
	page := 1
	_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
	from = min((page-1)*g.pageSize, n)
	to = min(from+g.pageSize, n)
	if to < n {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?page=%d>; rel="next"`, g.srv.URL, r.URL.Path, page+1))
	}
	return from, to
}

func (g *fakeGitHub) getStatuses(w http.ResponseWriter, r *http.Request) {
	var all []fakeStatus
	for _, name := range sortedKeys(g.statuses) {
		all = append(all, g.statuses[name])
	}
	from, to := g.page(w, r, len(all))
	reply(w, http.StatusOK, map[string]any{"statuses": all[from:to]})
}

func (g *fakeGitHub) postStatus(w http.ResponseWriter, r *http.Request) {
	var s fakeStatus
	g.read(r, &s)
	if r.PathValue("sha") != testTarget.SHA {
		g.t.Errorf("a status for commit %q", r.PathValue("sha"))
	}
	if s.State != "success" && s.State != "failure" && s.State != "error" {
		g.t.Errorf("a status of state %q", s.State)
	}
	if s.Context == "" || len(s.Description) > 140 {
		g.t.Errorf("status %q: description of %d bytes", s.Context, len(s.Description))
	}
	g.statuses[s.Context] = s
	reply(w, http.StatusCreated, s)
}

func (g *fakeGitHub) getComments(w http.ResponseWriter, r *http.Request) {
	from, to := g.page(w, r, len(g.comments))
	reply(w, http.StatusOK, g.comments[from:to])
}

func (g *fakeGitHub) postComment(w http.ResponseWriter, r *http.Request) {
	var c fakeComment
	g.readComment(r, &c)
	c.ID = int64(len(g.comments) + 1)
	g.comments = append(g.comments, c)
	reply(w, http.StatusCreated, c)
}

func (g *fakeGitHub) patchComment(w http.ResponseWriter, r *http.Request) {
	var c fakeComment
	g.readComment(r, &c)
	for i := range g.comments {
		if fmt.Sprint(g.comments[i].ID) != r.PathValue("id") {
			continue
		}
		if g.comments[i].foreign {
			reply(w, http.StatusForbidden, map[string]string{"message": "Must have admin rights to Repository."})
			return
		}
		g.comments[i].Body = c.Body
		reply(w, http.StatusOK, g.comments[i])
		return
	}
	reply(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
}

func (g *fakeGitHub) readComment(r *http.Request, c *fakeComment) {
	g.read(r, c)
	if n := len([]rune(c.Body)); n == 0 || n > 65536 {
		g.t.Errorf("a comment of %d characters", n)
	}
}

// fakeClock sleeps in no time, and writes down how long.
type fakeClock struct {
	now   time.Time
	slept []time.Duration
	hook  func()
}

func (c *fakeClock) Now() time.Time { return c.now }

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.slept = append(c.slept, d)
	c.now = c.now.Add(d)
	if c.hook != nil {
		c.hook()
	}
	return ctx.Err()
}
