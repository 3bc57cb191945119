package github

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxTries    = 6               // of one request
	firstPause  = time.Second     // doubles with each try
	secondPause = 1 * time.Minute // after a secondary limit that names no time, as GitHub asks

	// maxBody bounds what is read of an answer that refuses.
	maxBody = 64 << 10
)

// clock is what transport waits by; tests have one of their own.
type clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// transport sends requests with the token, and sends them again when that may
// help. It is not for use by several goroutines.
type transport struct {
	base  http.RoundTripper
	api   *url.URL // the only place the token goes to
	token string
	clock clock
	max   time.Duration // bound of all waiting
	say   func(string)

	waited time.Duration
	until  time.Time // the primary limit is used up: nothing is sent before
}

// sendOnce marks a request that may have been carried out although its answer
// is lost, and must not be then: the caller looks, and decides.
type sendOnce struct{}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	pause := firstPause
	for try := 1; ; try++ {
		if d := t.until.Sub(t.clock.Now()); d > 0 {
			if err := t.wait(ctx, d, "GitHub's rate limit is used up"); err != nil {
				return nil, err
			}
		}
		resp, err := t.send(req)
		again, why := t.judge(req, resp, err)
		if again == never || try == maxTries || ctx.Err() != nil {
			return resp, err
		}
		d := pause
		if again > 0 {
			d = again
		} else {
			pause *= 2
		}
		if resp != nil {
			_ = resp.Body.Close()
		}
		if err := t.wait(ctx, d, why); err != nil {
			return nil, err
		}
	}
}

// send sends the request once, with a body of its own each time.
func (t *transport) send(req *http.Request) (*http.Response, error) {
	r := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		r.Body = body
	}
	// A redirection may lead elsewhere; the token stays here.
	if r.URL.Scheme == t.api.Scheme && r.URL.Host == t.api.Host {
		r.Header.Set("Authorization", "Bearer "+t.token)
	} else {
		r.Header.Del("Authorization")
	}
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	t.noteLimit(resp)
	return resp, nil
}

// Values of judge beside a time to wait.
const (
	never = time.Duration(-1) // do not send again
	soon  = time.Duration(0)  // after the next pause
)

// judge says whether and when a request is to be sent again, and why.
func (t *transport) judge(req *http.Request, resp *http.Response, err error) (time.Duration, string) {
	once := req.Context().Value(sendOnce{}) != nil
	switch {
	case err != nil && once, err == nil && resp.StatusCode >= 500 && once:
		return never, ""
	case err != nil:
		return soon, err.Error()
	case resp.StatusCode >= 500:
		return soon, "GitHub answered " + resp.Status
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusTooManyRequests:
		return t.limited(resp)
	}
	return never, ""
}

// limited tells a rate limit from a refusal, and how long it lasts
// (https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api).
// A request that was refused for a limit was not carried out.
func (t *transport) limited(resp *http.Response) (time.Duration, string) {
	if d, ok := retryAfter(resp.Header.Get("Retry-After"), t.clock.Now()); ok {
		return max(d, time.Second), "GitHub's secondary rate limit is reached"
	}
	if !t.until.IsZero() {
		return max(t.until.Sub(t.clock.Now()), time.Second), "GitHub's rate limit is used up"
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if resp.StatusCode == http.StatusTooManyRequests || strings.Contains(string(body), "secondary rate limit") {
		return secondPause, "GitHub's secondary rate limit is reached"
	}
	return never, ""
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(s string, now time.Time) (time.Duration, bool) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return time.Duration(n) * time.Second, true
	}
	if at, err := http.ParseTime(s); err == nil {
		return at.Sub(now), true
	}
	return 0, false
}

// noteLimit remembers when the primary limit is used up. The client library
// would refuse to send then, by a clock of its own; so it is not told.
func (t *transport) noteLimit(resp *http.Response) {
	t.until = time.Time{}
	if resp.Header.Get("X-RateLimit-Remaining") == "0" {
		if sec, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			t.until = time.Unix(sec, 0)
		}
	}
	resp.Header.Del("X-RateLimit-Remaining")
	resp.Header.Del("X-RateLimit-Reset")
}

// LimitError says that publishing would have to wait longer than it may.
type LimitError struct {
	Why   string
	Until time.Time
	Max   time.Duration
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s: waiting until %s would be longer than the %s that all waiting may take; publish again then, or allow more with --max-wait",
		e.Why, e.Until.Format("15:04:05"), e.Max)
}

// wait sleeps, tells why, and keeps to the bound.
func (t *transport) wait(ctx context.Context, d time.Duration, why string) error {
	d = (d + time.Second - 1).Truncate(time.Second)
	if t.waited+d > t.max {
		return &LimitError{Why: why, Until: t.clock.Now().Add(d), Max: t.max}
	}
	t.waited += d
	t.say(fmt.Sprintf("%s: again in %s (waiting %s in all, at most %s)", why, d, t.waited, t.max))
	return t.clock.Sleep(ctx, d)
}
