package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cloudkernel/tools/internal/github"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/report"
)

type ciPublishOptions struct {
	reports    []string
	lane       string
	expect     []string
	repository string
	sha        string
	pr         int
	apiURL     string
	runURL     string
	prefix     string
	maxWait    time.Duration
	dryRun     bool
}

func (o *ciPublishOptions) AddFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.reports, "report", nil, "a JSON report of 'kernlab test', as `[LANE=]FILE`; may be given several times")
	f.StringVar(&o.lane, "lane", "", "`LANE` of the reports that name none (default: architecture-profile, as the cases tell)")
	f.StringArrayVar(&o.expect, "expect", nil, "how many reports a lane must have, as `LANE[=N]`; may be given several times")
	f.StringVar(&o.repository, "repository", "", "the repository, `OWNER/NAME` (default: $GITHUB_REPOSITORY)")
	f.StringVar(&o.sha, "sha", "", "`COMMIT` that the statuses are of (default: the head of the pull request, or $GITHUB_SHA)")
	f.IntVar(&o.pr, "pr", 0, "`NUMBER` of the pull request to comment on (default: that of the event, if any)")
	f.StringVar(&o.apiURL, "api-url", "", "`URL` of the API (default: $GITHUB_API_URL, or github.com's); an enterprise server's is https://HOST/api/v3")
	f.StringVar(&o.runURL, "run-url", "", "`URL` of the CI run's page, to link to (default: that of the workflow's run)")
	f.StringVar(&o.prefix, "context", "cloudkernel/", "`PREFIX` of the statuses' names")
	f.DurationVar(&o.maxWait, "max-wait", 10*time.Minute, "bound (`TIME`) of all waiting for rate limits and retries")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the statuses and the comment, send nothing")
}

func newCIPublishCmd(a *app) *cobra.Command {
	var o ciPublishOptions
	cmd := &cobra.Command{
		Use:   "publish --report [LANE=]FILE... [--expect LANE=N...]",
		Short: "Tell GitHub how the lanes of a CI run ended",
		Long: `publish reads the JSON reports of a CI run and tells the repository on GitHub, or
on an enterprise server, how it ended: one commit status a lane (a kernel, named
architecture-profile), and one comment with a table and the failures on the pull
request. Publishing again edits that comment; what has not changed is not sent.

Reports of the same lane (shards) are added up. A lane that is expected and has
too few reports is an error, not a pass: name it with --expect.

  kernlab ci publish --report out/report.json
  kernlab ci publish --report arm64-default=1.json --report arm64-default=2.json \
                     --expect arm64-default=2 --expect x86_64-debug

The token is taken from GITHUB_TOKEN. A fine-grained one, or a workflow's own,
needs the permissions statuses: write and pull-requests: write; a classic one
the scopes repo:status and public_repo (repo for a private repository). In
GitHub Actions everything else is taken from the environment.

The exit status tells whether publishing worked, not how the lanes ended.

` + outcome.ExitStatus(),
		Args:              cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCIPublish(cmd.Context(), a, o, os.Getenv)
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runCIPublish(ctx context.Context, a *app, o ciPublishOptions, getenv func(string) string) error {
	lanes, err := o.lanes()
	if err != nil {
		return err
	}
	target, err := o.target(getenv)
	if err != nil {
		return usageError{err}
	}
	if o.dryRun {
		for i := range lanes {
			fmt.Fprintf(a.out, "status %s%s: %s, %s\n", o.prefix, lanes[i].Name, lanes[i].State(), lanes[i].Description())
		}
		fmt.Fprintf(a.out, "\n%s", github.Comment(lanes, target))
		return nil
	}
	return github.Publish(ctx, target, lanes, github.Options{
		Token:   getenv("GITHUB_TOKEN"),
		Prefix:  o.prefix,
		MaxWait: o.maxWait,
		Say:     func(line string) { fmt.Fprintln(a.err, line) },
	})
}

// target is what the environment says, but for what the flags do.
func (o *ciPublishOptions) target(getenv func(string) string) (github.Target, error) {
	t, err := github.TargetFromEnv(getenv)
	if err != nil {
		return t, err
	}
	if o.repository != "" {
		t.Owner, t.Repo, _ = strings.Cut(o.repository, "/")
	}
	if o.sha != "" {
		t.SHA = o.sha
	}
	if o.pr != 0 {
		t.PR = o.pr
	}
	if o.apiURL != "" {
		t.API = o.apiURL
	}
	if o.runURL != "" {
		t.RunURL = o.runURL
	}
	return t, t.Check()
}

// lanes reads the reports and sorts their cases.
func (o *ciPublishOptions) lanes() ([]github.Lane, error) {
	if len(o.reports) == 0 && len(o.expect) == 0 {
		return nil, usageError{fmt.Errorf("nothing to publish: give --report [LANE=]FILE")}
	}
	expect := map[string]int{}
	for _, e := range o.expect {
		name, count, counted := strings.Cut(e, "=")
		n := 1
		if counted {
			var err error
			if n, err = strconv.Atoi(count); err != nil || n < 1 {
				return nil, usageError{fmt.Errorf("--expect %s: %q is no number of reports", e, count)}
			}
		}
		expect[name] = n
	}
	var reports []github.Report
	for _, arg := range o.reports {
		r := github.Report{Lane: o.lane}
		file := arg
		// What is before the sign is a lane only if it can be no path.
		if lane, rest, ok := strings.Cut(arg, "="); ok && !strings.Contains(lane, "/") {
			r.Lane, file = lane, rest
		}
		f, err := os.Open(file)
		if err != nil {
			return nil, outcome.Errorf(outcome.Infra, "report: %w", err)
		}
		r.Run, err = report.ReadJSON(f)
		_ = f.Close()
		if err != nil {
			return nil, outcome.Errorf(outcome.Infra, "report: %s: %w", file, err)
		}
		reports = append(reports, r)
	}
	return github.Lanes(reports, expect), nil
}
