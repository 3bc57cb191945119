package image

import (
	"context"
	"fmt"
	"os"
	"strings"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
)

// keyring is where Debian keeps the archive's keys.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// sources returns the host's own lines for the main component of its Debian
// release, in the one-line format, without an architecture. The environment
// variable CLOUDKERNEL_DEBIAN_MIRROR stands in for them ("URI SUITE").
func sources(ctx context.Context) ([]string, error) {
	signed := ""
	if _, err := os.Stat(keyring); err == nil {
		signed = "[signed-by=" + keyring + "] "
	}
	if mirror := os.Getenv("CLOUDKERNEL_DEBIAN_MIRROR"); mirror != "" {
		if len(strings.Fields(mirror)) != 2 {
			return nil, outcome.Errorf(outcome.Infra, "CLOUDKERNEL_DEBIAN_MIRROR is %q: it must be a URI and a suite, as in \"https://mirror.example/debian bookworm\"", mirror)
		}
		return []string{"deb " + signed + mirror + " main"}, nil
	}
	codename, err := debianRelease()
	if err != nil {
		return nil, err
	}
	cmd := proc.Command(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
	out, err := output(cmd)
	if err != nil {
		return nil, fmt.Errorf("ask apt for the host's package sources: %w", err)
	}
	var lines []string
	seen := map[string]bool{}
	for _, l := range strings.Split(out, "\n") {
		f := strings.Fields(l)
		if len(f) != 3 || f[2] != "main" || (f[1] != codename && !strings.HasPrefix(f[1], codename+"-")) {
			continue
		}
		line := "deb " + signed + f[0] + " " + f[1] + " main"
		if !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil, outcome.Errorf(outcome.Infra, "the host's apt has no source for Debian %s main; add one, or set CLOUDKERNEL_DEBIAN_MIRROR to \"URI SUITE\"", codename)
	}
	return lines, nil
}

// debianRelease returns the host's release, which its guests have too.
func debianRelease() (string, error) {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	for _, l := range strings.Split(string(data), "\n") {
		if v, ok := strings.CutPrefix(l, "VERSION_CODENAME="); ok {
			return strings.Trim(v, `"'`), nil
		}
	}
	return "", outcome.Errorf(outcome.Infra, "/etc/os-release names no release (VERSION_CODENAME); set CLOUDKERNEL_DEBIAN_MIRROR to \"URI SUITE\" for the guests' packages")
}
