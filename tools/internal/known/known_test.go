package known

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
	"cloudkernel/tools/internal/splat"
)

var day = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func load(t *testing.T, failures, allowed string) (*Lists, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ci")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"known-failures.yaml": failures, "allowed-splats.yaml": allowed} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Load(dir, day)
}

const debt = "  reason: r\n  link: https://example.org/1\n  expires: "

func TestLoadErrors(t *testing.T) {
	tests := []struct{ name, failures, allowed, want string }{
		{"none", "", "", ""},
		{"comments only", "# nothing\n", "\n# none\n", ""},
		{"no link", "- case: a/b\n  reason: r\n  link: see the wiki\n  expires: 2026-12-31\n", "", `ci/known-failures.yaml:3:9: no link`},
		{"no day", "- case: a/b\n" + debt + "soon\n", "", `ci/known-failures.yaml:4:12: no last day`},
		{"no case", "- outcome: fail\n" + debt + "2026-12-31\n", "", "ci/known-failures.yaml:1:10: no case"},
		{"no title", "", "- case: a/b\n" + debt + "2026-12-31\n", "ci/allowed-splats.yaml:1:7: no title"},
		{"bad kind", "", "- title: x\n  kind: sneeze\n" + debt + "2026-12-31\n", "ci/allowed-splats.yaml:2:9"},
		{"typo", "- case: a/b\n  expiry: 2026-12-31\n", "", `ci/known-failures.yaml:2:3: unknown key "expiry" (did you mean "expires"?)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.failures, tt.allowed)
			switch {
			case err == nil && tt.want != "":
				t.Errorf("no error, want %s", tt.want)
			case err != nil && (tt.want == "" || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestAllow(t *testing.T) {
	l, err := load(t, "", "- title: WARNING in f at .*\n  kind: warning\n  case: a/*\n  arch: arm64\n"+debt+"2026-06-15\n"+
		"- title: soft lockup in g\n"+debt+"2026-06-14\n")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, arch, title string
		kind              splat.Kind
		reason, expired   bool
	}{
		{"a/b", "arm64", "WARNING in f at kernel/f.c", splat.Warning, true, false}, // on its last day
		{"a/b", "x86_64", "WARNING in f at kernel/f.c", splat.Warning, false, false},
		{"b/b", "arm64", "WARNING in f at kernel/f.c", splat.Warning, false, false},
		{"a/b", "arm64", "WARNING in f at kernel/f.c", splat.Bug, false, false},
		{"a/b", "arm64", "a WARNING in f at kernel/f.c", splat.Warning, false, false},
		{"a/b", "arm64", "soft lockup in g", splat.SoftLockup, false, true},
	}
	for _, tt := range tests {
		reason, expired := l.Allow(&result.Case{Name: tt.name, Arch: tt.arch}, tt.kind, tt.title)
		if (reason != "") != tt.reason || (expired != "") != tt.expired {
			t.Errorf("%+v: allowed %q, expired %q", tt, reason, expired)
		}
	}
}

func TestJudge(t *testing.T) {
	const list = "- case: a/whole\n  outcome: hang\n" + debt + "2026-12-31\n" +
		"- case: a/old\n" + debt + "2026-01-01\n" +
		"- case: a/parts\n  subtest: one*\n" + debt + "2026-12-31\n" +
		"- case: a/parts\n  subtest: two\n" + debt + "2026-12-31\n"
	sub := func(outcomes ...outcome.Outcome) (l []result.Subtest) {
		for i, name := range []string{"one x", "two", "three"} {
			if i < len(outcomes) {
				l = append(l, result.Subtest{Name: name, Outcome: outcomes[i]})
			}
		}
		return l
	}
	tests := []struct {
		name string
		c    result.Case
		want string // "", known, passed or expired
		bad  bool
	}{
		{"as known", result.Case{Name: "a/whole", Outcome: outcome.Hang}, "known", false},
		{"worse than known", result.Case{Name: "a/whole", Outcome: outcome.Panic}, "", true},
		{"passes now", result.Case{Name: "a/whole", Outcome: outcome.Pass}, "passed", false},
		{"skipped says nothing", result.Case{Name: "a/whole", Outcome: outcome.Skip}, "", false},
		{"expired", result.Case{Name: "a/old", Outcome: outcome.Fail}, "expired", true},
		{"another case", result.Case{Name: "a/new", Outcome: outcome.Fail}, "", true},
		{"one known part", result.Case{Name: "a/parts", Outcome: outcome.Fail, Subtests: sub(outcome.Fail, outcome.Pass)}, "known", false},
		{"two known parts", result.Case{Name: "a/parts", Outcome: outcome.Fail, Subtests: sub(outcome.Fail, outcome.Fail)}, "known", false},
		{"an unknown part", result.Case{Name: "a/parts", Outcome: outcome.Fail, Subtests: sub(outcome.Fail, outcome.Pass, outcome.Fail)}, "", true},
		{"a panic is not a part", result.Case{Name: "a/parts", Outcome: outcome.Panic, Subtests: sub(outcome.Fail)}, "", true},
		{"failed without a part", result.Case{Name: "a/parts", Outcome: outcome.Fail}, "", true},
		{"parts pass now", result.Case{Name: "a/parts", Outcome: outcome.Pass, Subtests: sub(outcome.Pass)}, "passed", false},
	}
	l, err := load(t, list, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l.Judge(&tt.c)
			got := ""
			switch k := tt.c.Known; {
			case k == nil:
			case k.Passed:
				got = "passed"
			case k.Expired:
				got = "expired"
			default:
				got = "known"
			}
			if got != tt.want || tt.c.Bad() != tt.bad {
				t.Errorf("known %q, bad %v; want %q, %v", got, tt.c.Bad(), tt.want, tt.bad)
			}
		})
	}
}
