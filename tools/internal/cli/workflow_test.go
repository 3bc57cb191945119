package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/kernel"
)

type workflow struct {
	Jobs map[string]struct {
		Strategy struct {
			Matrix struct {
				Arch, Profile []string
				Shard         []int
			}
		}
		Steps []struct {
			Run  string
			Uses string
		}
	}
}

func readWorkflow(t *testing.T) workflow {
	t.Helper()
	root := filepath.Join("..", "..", "..")
	source, err := os.ReadFile(filepath.Join(root, "ci", "workflow.yml"))
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(filepath.Join(root, ".github", "workflows", "ci.yml"))
	if err != nil || !bytes.Equal(source, copied) {
		t.Errorf(".github/workflows/ci.yml is not a copy of ci/workflow.yml (%v); cp ci/workflow.yml .github/workflows/ci.yml", err)
	}
	var w workflow
	if err := yaml.Unmarshal(source, &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestWorkflowMatrix: CI has every architecture and profile, and expects a
// report of each shard.
func TestWorkflowMatrix(t *testing.T) {
	w := readWorkflow(t)
	var archs []string
	for _, a := range arch.All {
		archs = append(archs, a.Name)
	}
	profiles := kernel.Profiles(filepath.Join("..", "..", "..", "kernel-patches", "configs"), nil)
	for _, job := range []string{"build", "test"} {
		m := w.Jobs[job].Strategy.Matrix
		if !slices.Equal(m.Arch, archs) {
			t.Errorf("%s: architectures %q, want %q", job, m.Arch, archs)
		}
		for _, p := range m.Profile {
			if !slices.Contains(profiles, p) {
				t.Errorf("%s: profile %q, there are %q", job, p, profiles)
			}
		}
	}
	test := w.Jobs["test"].Strategy.Matrix
	publish := w.Jobs["publish"].Steps
	text := publish[len(publish)-1].Run
	for _, a := range test.Arch {
		for _, p := range test.Profile {
			if want := "--expect " + a + "-" + p + "=2"; len(test.Shard) != 2 || !strings.Contains(text, want) {
				t.Errorf("%d shards, and publish does not say %s", len(test.Shard), want)
			}
		}
	}
}

var (
	kernlabCall = regexp.MustCompile(`(?:bin/kernlab|go run \./tools/cmd/kernlab) ([^\n|;&]*)`)
	expression  = regexp.MustCompile(`\$\{\{[^}]*\}\}`)
)

// TestWorkflowCommands: every call of kernlab in the workflow names a command
// and flags that there are.
func TestWorkflowCommands(t *testing.T) {
	calls := 0
	for name, job := range readWorkflow(t).Jobs {
		for _, step := range job.Steps {
			text := strings.ReplaceAll(expression.ReplaceAllString(step.Run, "x"), "\\\n", " ")
			for _, m := range kernlabCall.FindAllStringSubmatch(text, -1) {
				calls++
				checkCall(t, name, strings.Fields(m[1]))
			}
		}
	}
	if calls < 5 {
		t.Errorf("found %d calls of kernlab", calls)
	}
}

func checkCall(t *testing.T, job string, words []string) {
	t.Helper()
	cmd, rest, err := testRoot().Find(words)
	if err != nil || cmd.HasParent() == false {
		t.Errorf("job %s: kernlab %s: no such command (%v)", job, strings.Join(words, " "), err)
		return
	}
	for _, word := range rest {
		name, isFlag := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(name, "=")
		if isFlag && cmd.Flag(name) == nil {
			t.Errorf("job %s: %s has no flag --%s", job, cmd.CommandPath(), name)
		}
	}
}
