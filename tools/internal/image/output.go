package image

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"cloudkernel/tools/internal/outcome"
)

// output runs a command and returns its stdout; its error has its stderr.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", missing(err, filepath.Base(cmd.Path))
		}
		return "", aptError(stdout.String()+stderr.String(), err)
	}
	return stdout.String(), nil
}

// missing says what to do about a program that is not there.
func missing(err error, name string) error {
	if errors.Is(err, exec.ErrNotFound) {
		return outcome.Errorf(outcome.Infra, "%s is not in PATH; 'kernlab doctor' says how to get it", name)
	}
	return err
}

// aptError returns apt's own errors, which it marks with "E:".
func aptError(text string, err error) error {
	var own []string
	for _, l := range strings.Split(text, "\n") {
		if strings.HasPrefix(l, "E: ") {
			own = append(own, strings.TrimPrefix(l, "E: "))
		}
	}
	if len(own) == 0 {
		own = strings.Split(strings.TrimSpace(text), "\n")
		own = own[max(0, len(own)-3):]
	}
	return fmt.Errorf("%s (%w)", strings.Join(own, "; "), err)
}
