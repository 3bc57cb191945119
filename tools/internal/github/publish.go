package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"cloudkernel/tools/internal/outcome"
)

// Options say how to publish.
type Options struct {
	Token   string
	Prefix  string        // of status contexts; "cloudkernel/"
	MaxWait time.Duration // bound of all waiting for limits and retries
	Say     func(string)  // told what is done and waited for

	clock clock             // nil: the real one
	base  http.RoundTripper // nil: the default
}

// TokenHelp says what token is needed.
const TokenHelp = "a fine-grained token, or a workflow's own, needs the permissions `statuses: write` and `pull-requests: write`; " +
	"a classic one the scopes `repo:status` and `public_repo` (`repo` for a private repository)"

// Publish sets one commit status a lane, and the comment if the target has a
// pull request. A lane whose status cannot be set does not keep the others
// from theirs.
func Publish(ctx context.Context, target Target, lanes []Lane, opt Options) error {
	if opt.Token == "" {
		return outcome.Errorf(outcome.Infra, "no token: set GITHUB_TOKEN; %s", TokenHelp)
	}
	api, err := target.api()
	if err != nil {
		return err
	}
	if opt.clock == nil {
		opt.clock = realClock{}
	}
	if opt.base == nil {
		base := http.DefaultTransport.(*http.Transport).Clone()
		base.ResponseHeaderTimeout = 30 * time.Second
		opt.base = base
	}
	t := &transport{base: opt.base, api: api, token: opt.Token, clock: opt.clock, max: opt.MaxWait, say: opt.Say}
	client := github.NewClient(&http.Client{Transport: t})
	client.BaseURL = api
	p := &publisher{client: client, transport: t, target: target, opt: opt}

	var errs []error
	if err := p.statuses(ctx, lanes); err != nil {
		errs = append(errs, err)
	}
	if target.PR != 0 && ctx.Err() == nil && !outOfTime(errs) {
		if err := p.comment(ctx, Comment(lanes, target)); err != nil {
			errs = append(errs, fmt.Errorf("comment on pull request %d: %w", target.PR, explain(err)))
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := errors.Join(errs...); err != nil {
		return &outcome.Error{Outcome: outcome.Infra, Err: err}
	}
	return nil
}

// outOfTime reports whether an error is that no more waiting is allowed, so
// that the next request would fare no better.
func outOfTime(errs []error) bool {
	var limit *LimitError
	return errors.As(errors.Join(errs...), &limit)
}

type publisher struct {
	client    *github.Client
	transport *transport
	target    Target
	opt       Options
}

// statuses sets the statuses that are not as they should be.
func (p *publisher) statuses(ctx context.Context, lanes []Lane) error {
	there, err := p.current(ctx)
	if err != nil {
		return fmt.Errorf("read the statuses of %s: %w", short(p.target.SHA), explain(err))
	}
	var errs []error
	for i := range lanes {
		l := &lanes[i]
		want := &github.RepoStatus{
			State:       github.String(l.State()),
			Description: github.String(l.Description()),
			Context:     github.String(p.opt.Prefix + l.Name),
		}
		if p.target.RunURL != "" {
			want.TargetURL = github.String(p.target.RunURL)
		}
		if old := there[want.GetContext()]; old != nil && old.GetState() == want.GetState() &&
			old.GetDescription() == want.GetDescription() && old.GetTargetURL() == want.GetTargetURL() {
			p.opt.Say(fmt.Sprintf("status %s is %s already", want.GetContext(), want.GetState()))
			continue
		}
		_, _, err := p.client.Repositories.CreateStatus(ctx, p.target.Owner, p.target.Repo, p.target.SHA, want)
		if err != nil {
			errs = append(errs, fmt.Errorf("set status %s: %w", want.GetContext(), explain(err)))
			if outOfTime(errs) {
				break
			}
			continue
		}
		p.opt.Say(fmt.Sprintf("status %s: %s, %s", want.GetContext(), want.GetState(), want.GetDescription()))
	}
	return errors.Join(errs...)
}

// current returns the commit's statuses by context.
func (p *publisher) current(ctx context.Context) (map[string]*github.RepoStatus, error) {
	there := map[string]*github.RepoStatus{}
	opt := &github.ListOptions{PerPage: 100}
	for {
		combined, resp, err := p.client.Repositories.GetCombinedStatus(ctx, p.target.Owner, p.target.Repo, p.target.SHA, opt)
		if err != nil {
			return nil, err
		}
		for _, s := range combined.Statuses {
			there[s.GetContext()] = s
		}
		if resp.NextPage == 0 {
			return there, nil
		}
		opt.Page = resp.NextPage
	}
}

// comment makes our comment say body. When the answer to making one is lost,
// it may have been made: then we look for it before we make another.
func (p *publisher) comment(ctx context.Context, body string) error {
	pause := firstPause
	for try := 1; ; try++ {
		done, err := p.edit(ctx, body)
		if err != nil || done {
			return err
		}
		_, _, err = p.client.Issues.CreateComment(context.WithValue(ctx, sendOnce{}, true),
			p.target.Owner, p.target.Repo, p.target.PR, &github.IssueComment{Body: &body})
		if err == nil {
			p.opt.Say(fmt.Sprintf("commented on pull request %d", p.target.PR))
			return nil
		}
		if !ambiguous(err) || try == maxTries || ctx.Err() != nil {
			return err
		}
		if err := p.transport.wait(ctx, pause, "the comment may not have been made ("+err.Error()+")"); err != nil {
			return err
		}
		pause *= 2
	}
}

// edit looks for our comment and makes it say body; it reports whether there
// was one. A comment that only looks like ours cannot be edited by us, and is
// passed over.
func (p *publisher) edit(ctx context.Context, body string) (bool, error) {
	opt := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	for {
		list, resp, err := p.client.Issues.ListComments(ctx, p.target.Owner, p.target.Repo, p.target.PR, opt)
		if err != nil {
			return false, err
		}
		for _, c := range list {
			if !strings.HasPrefix(c.GetBody(), marker) {
				continue
			}
			if strings.TrimSpace(c.GetBody()) == strings.TrimSpace(body) {
				p.opt.Say("the comment says so already")
				return true, nil
			}
			_, answer, err := p.client.Issues.EditComment(ctx, p.target.Owner, p.target.Repo, c.GetID(), &github.IssueComment{Body: &body})
			if answer != nil && (answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusNotFound) {
				continue
			}
			if err == nil {
				p.opt.Say(fmt.Sprintf("edited the comment on pull request %d", p.target.PR))
			}
			return err == nil, err
		}
		if resp.NextPage == 0 {
			return false, nil
		}
		opt.Page = resp.NextPage
	}
}

// ambiguous reports whether a request that ended in err may have been carried out.
func ambiguous(err error) bool {
	var limit *LimitError
	if errors.As(err, &limit) {
		return false
	}
	var answer *github.ErrorResponse
	if errors.As(err, &answer) {
		return answer.Response.StatusCode >= 500
	}
	return true
}

// explain adds what to do to an answer of GitHub's that waiting does not change.
func explain(err error) error {
	var answer *github.ErrorResponse
	if !errors.As(err, &answer) || answer.Response == nil {
		return err
	}
	switch answer.Response.StatusCode {
	case http.StatusUnauthorized:
		return fmt.Errorf("GitHub does not know the token in GITHUB_TOKEN: it is wrong, or expired (%s)", answer.Message)
	case http.StatusForbidden:
		return fmt.Errorf("the token in GITHUB_TOKEN may not do this (%s): %s; the workflow of a fork's pull request gets a token that only reads", answer.Message, TokenHelp)
	case http.StatusNotFound:
		return fmt.Errorf("there is no such repository, commit or pull request, or the token in GITHUB_TOKEN may not see it (%s)", answer.Message)
	}
	return err
}
