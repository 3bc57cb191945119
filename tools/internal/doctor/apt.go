package doctor

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
	"cloudkernel/tools/internal/progress"
)

// geteuid is a variable so that a test that runs as root can be a user.
var geteuid = os.Geteuid

func haveApt() bool {
	_, err := exec.LookPath("apt-get")
	return err == nil
}

// sudo returns what must stand before a command that needs root.
func sudo() []string {
	if geteuid() == 0 {
		return nil
	}
	return []string{"sudo"}
}

// aptCommand returns the line a person would type.
func aptCommand(packages []string) string {
	words := append(sudo(), "apt-get", "install", "-y", "--no-install-recommends")
	return strings.Join(append(words, packages...), " ")
}

// Install installs the packages that r lacks, in one transaction, and says on
// w how far it is. It asks nothing except, where we are not root, what sudo
// asks on the terminal.
func Install(ctx context.Context, w io.Writer, r *Report) error {
	if len(r.Install) == 0 {
		return nil
	}
	if !haveApt() {
		return outcome.Errorf(outcome.Infra, "no apt-get here: install these by your distribution's means (names of Debian's packages): %s",
			strings.Join(r.Install, " "))
	}
	if err := askSudo(ctx, r.Install); err != nil {
		return err
	}
	fresh := false
	if !candidates(ctx, r.Install) {
		if err := aptGet(ctx, w, "update package lists", "update"); err != nil {
			return err
		}
		fresh = true
	}
	args := append([]string{"install", "-y", "--no-install-recommends"}, r.Install...)
	what := fmt.Sprintf("install %d packages", len(r.Install))
	err := aptGet(ctx, w, what, args...)
	if err != nil && !fresh && ctx.Err() == nil {
		// Lists from long ago name files that the archive has dropped since.
		if err := aptGet(ctx, w, "update package lists", "update"); err != nil {
			return err
		}
		err = aptGet(ctx, w, what, args...)
	}
	return err
}

// askSudo lets sudo ask for the password now, in the foreground: later it runs
// in a process group of its own, which may not read the terminal.
func askSudo(ctx context.Context, packages []string) error {
	if geteuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("sudo"); err != nil {
		return outcome.Errorf(outcome.Infra, "installing needs root and there is no sudo: as root, run: %s",
			strings.TrimPrefix(aptCommand(packages), "sudo "))
	}
	cmd := proc.Command(ctx, "sudo", "-v")
	cmd.SysProcAttr = nil
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return outcome.Errorf(outcome.Infra, "sudo -v: %w; run as root, or: %s", err, aptCommand(packages))
	}
	return nil
}

// candidates reports whether apt's lists offer every package.
func candidates(ctx context.Context, packages []string) bool {
	out, err := output(ctx, "", "apt-cache", append([]string{"policy"}, packages...)...)
	if err != nil {
		return false
	}
	offered := strings.Count(out, "\n  Candidate:") - strings.Count(out, "\n  Candidate: (none)")
	return offered == len(packages)
}

// aptGet runs one apt-get command, without questions and with a bar.
//
// An interrupt is passed on and apt is waited for: a package manager that is
// killed in the middle leaves work to whoever comes next.
func aptGet(ctx context.Context, w io.Writer, what string, args ...string) error {
	// apt takes the status descriptor away from dpkg, so it cannot be the
	// standard output, which maintainer scripts write to; and sudo passes on no
	// other, so a shell makes it.
	line := append(sudo(), "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C",
		"/bin/sh", "-c", `exec "$@" 3>&1`, "sh", "apt-get",
		"-o", "APT::Status-Fd=3", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=120", "-q")
	line = append(line, args...)
	cmd := proc.Command(ctx, line[0], line[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 0

	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	cmd.Stdout, cmd.Stderr = write, write
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		return outcome.Errorf(outcome.Infra, "%s: %w", what, err)
	}
	bar := progress.New(w, what, "percent", 100)
	said := follow(read, bar)
	err = cmd.Wait()
	bar.Done()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return outcome.Errorf(outcome.Infra, "%s: apt-get %s: %w\n%s", what, args[0], err, said)
	}
	return nil
}

// follow moves the bar by apt's status lines (APT::Status-Fd, described in
// apt's README.progress-reporting: kind:package:percent:text) and returns the
// last of the other lines.
func follow(r io.Reader, bar *progress.Bar) string {
	var last []string
	var shown int64
	for s := bufio.NewScanner(r); s.Scan(); {
		line := s.Text()
		fields := strings.SplitN(line, ":", 4)
		if len(fields) == 4 && (fields[0] == "dlstatus" || fields[0] == "pmstatus") {
			percent, err := strconv.ParseFloat(fields[2], 64)
			if err != nil {
				continue
			}
			// Fetching is the first half of the bar, unpacking the second.
			at := int64(percent / 2)
			if fields[0] == "pmstatus" {
				at += 50
			}
			if at > shown {
				bar.Add(at - shown)
				shown = at
			}
			continue
		}
		if last = append(last, line); len(last) > 40 {
			last = last[1:]
		}
	}
	return strings.Join(last, "\n")
}

// foreign judges whether the archive that apt uses here can be reached and has
// packages of the guests' architectures. It reads the release file of the
// first source, through apt's own fetcher, which knows proxies and mirrors.
func foreign(ctx context.Context, root string) Finding {
	f := Finding{Name: "package archive", Group: Machine, Uses: anything, Optional: true,
		Why: "the kernel's source, and what guests hold"}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	archs, err := archiveArchs(ctx, root)
	if err != nil {
		f.State, f.Found = Broken, err.Error()
		f.Fix = "see that apt's sources can be reached: " + strings.Join(append(sudo(), "apt-get", "update"), " ")
		return f
	}
	var has, lacks []string
	for _, a := range arch.All {
		if slices.Contains(archs, a.Debian) {
			has = append(has, a.Debian)
		} else {
			lacks = append(lacks, a.Debian)
		}
	}
	f.Found = "has packages of " + strings.Join(has, ", ")
	if len(lacks) > 0 {
		f.State = Missing
		f.Fix = "point apt at a mirror that has " + strings.Join(lacks, " and ")
	}
	return f
}

func archiveArchs(ctx context.Context, root string) ([]string, error) {
	helper := filepath.Join(root, "usr/lib/apt/apt-helper")
	if _, err := os.Stat(helper); err != nil {
		return nil, fmt.Errorf("no apt here")
	}
	out, err := output(ctx, "", "apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages")
	if err != nil {
		return nil, err
	}
	site, release, ok := strings.Cut(strings.SplitN(out, "\n", 2)[0], " ")
	if !ok {
		return nil, fmt.Errorf("apt has no package lists")
	}
	dir, err := os.MkdirTemp("", "doctor-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	// apt fetches as its own user, who must be able to enter.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "InRelease")
	url := strings.TrimSuffix(site, "/") + "/dists/" + release + "/InRelease"
	if _, err := output(ctx, "", helper, "-o", "Acquire::Retries=0", "-o", "APT::Sandbox::User=root", "download-file", url, file); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s did not answer in %s", site, probeTimeout.Round(time.Second))
		}
		return nil, fmt.Errorf("cannot fetch %s", url)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		if list, ok := bytes.CutPrefix(line, []byte("Architectures:")); ok {
			return strings.Fields(string(list)), nil
		}
	}
	return nil, fmt.Errorf("%s names no architectures", url)
}
