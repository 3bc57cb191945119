package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"cloudkernel/tools/internal/arch"
	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/proc"
	"cloudkernel/tools/internal/progress"
)

// archive is the Debian archive as a guest's architecture sees it. apt does
// the work, with a state of its own in the store: the host's architectures,
// its installed packages and its privileges do not matter.
type archive struct {
	m    *Maker
	arch *arch.Arch
	dir  string
}

// deb is a package of the archive.
type deb struct {
	File string // name of the .deb file, which holds name, version and architecture
	Size int64  // bytes
}

// openArchive locks the archive's directory and makes it ready.
func (m *Maker) openArchive(ctx context.Context, a *arch.Arch) (*archive, func(), error) {
	release, err := m.Store.Lock(ctx, "apt", a.Debian, func() {
		m.say("another kernlab is fetching %s packages; waiting for it", a.Debian)
	})
	if err != nil {
		return nil, nil, err
	}
	ar := &archive{m: m, arch: a, dir: filepath.Join(m.Store.Dir(), "apt", a.Debian)}
	if err := ar.prepare(ctx); err != nil {
		release()
		return nil, nil, err
	}
	return ar, release, nil
}

func (ar *archive) prepare(ctx context.Context) error {
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "none/partial", "log"} {
		if err := os.MkdirAll(filepath.Join(ar.dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(ar.dir, "status"), nil, 0o644); err != nil {
		return err
	}
	lines, err := sources(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(ar.dir, "sources.list"), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// command returns apt-get with the archive's own state.
func (ar *archive) command(ctx context.Context, args ...string) *exec.Cmd {
	var o []string
	for _, kv := range []string{
		"Dir::State=" + ar.dir + "/state",
		"Dir::State::status=" + ar.dir + "/status",
		"Dir::Cache=" + ar.dir + "/cache",
		"Dir::Cache::pkgcache=pkgcache.bin",
		"Dir::Cache::srcpkgcache=",
		"Dir::Log=" + ar.dir + "/log",
		"Dir::Etc::sourcelist=" + ar.dir + "/sources.list",
		"Dir::Etc::sourceparts=-",
		"Dir::Etc::preferences=-",
		"Dir::Etc::preferencesparts=-",
		"APT::Architecture=" + ar.arch.Debian,
		"APT::Architectures=" + ar.arch.Debian,
		"APT::Install-Recommends=false",
		"APT::Sandbox::User=root", // that is: as who we are
		"APT::Keep-Downloaded-Packages=true",
		"Acquire::Languages=none",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"Acquire::IndexTargets::deb::CNF::DefaultEnabled=false",
		"Acquire::Retries=3",
	} {
		o = append(o, "-o", kv)
	}
	cmd := proc.Command(ctx, "apt-get", append(o, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	return cmd
}

// maxAge is how long the archive's package lists are good for.
const maxAge = 24 * time.Hour

// update fetches the package lists, if they are old. Lists that are there are
// better than none: without a network they are used as they are, and said so.
func (ar *archive) update(ctx context.Context) error {
	stamp := filepath.Join(ar.dir, "updated")
	info, err := os.Stat(stamp)
	if err == nil && time.Since(info.ModTime()) < maxAge {
		return nil
	}
	had := err == nil
	ar.m.say("fetching the package lists of Debian %s", ar.arch.Debian)
	// update's own exit code is 0 even when nothing could be fetched.
	_, err = output(ar.command(ctx, "-qq", "-o", "APT::Update::Error-Mode=any", "update"))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && had {
		ar.m.say("warning: the package lists cannot be fetched, those of %s are used: %v", info.ModTime().Format(time.DateTime), err)
		return nil
	}
	if err != nil {
		return outcome.Errorf(outcome.Infra, "fetch the package lists of Debian %s: %w", ar.arch.Debian, err)
	}
	return os.WriteFile(stamp, nil, 0o644)
}

// resolve returns the packages and everything they depend on.
func (ar *archive) resolve(ctx context.Context, packages []string) ([]deb, error) {
	if err := ar.update(ctx); err != nil {
		return nil, err
	}
	// apt does not name what it has fetched before: it is shown an empty cache.
	args := append([]string{"-qq", "-o", "Dir::Cache::archives=" + ar.dir + "/none", "--print-uris", "install", "--"}, packages...)
	out, err := output(ar.command(ctx, args...))
	if err != nil {
		return nil, outcome.Errorf(outcome.Infra, "find the packages %s for %s: %w", strings.Join(packages, ", "), ar.arch.Debian, err)
	}
	list, err := parseURIs(out)
	if err == nil && len(list) == 0 {
		err = errors.New("apt names no package")
	}
	return list, err
}

// parseURIs reads the output of apt-get --print-uris: 'URI' file size hash.
func parseURIs(out string) ([]deb, error) {
	var list []deb
	for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
		f := strings.Fields(l)
		if len(f) < 3 || !strings.HasPrefix(f[0], "'") {
			continue
		}
		size, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("apt-get --print-uris: %q: %w", l, err)
		}
		list = append(list, deb{File: f[1], Size: size})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].File < list[j].File })
	return list, nil
}

// download fetches packages and returns the paths of the .deb files of list.
// apt checks them against the signed lists.
func (ar *archive) download(ctx context.Context, packages []string, list []deb) ([]string, error) {
	var total int64
	for _, d := range list {
		total += d.Size
	}
	bar := progress.New(ar.m.progress(), "fetch "+ar.arch.Debian+" packages", "B", total)
	err := ar.fetch(ctx, packages, bar, total)
	bar.Done()
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(list))
	for i, d := range list {
		paths[i] = filepath.Join(ar.dir, "cache", "archives", d.File)
		if _, err := os.Stat(paths[i]); err != nil {
			return nil, outcome.Errorf(outcome.Infra, "apt fetched %s, but: %w", d.File, err)
		}
	}
	return paths, nil
}

func (ar *archive) fetch(ctx context.Context, packages []string, bar *progress.Bar, total int64) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	args := append([]string{"-qq", "-y", "--download-only", "-o", "APT::Status-Fd=3", "install", "--"}, packages...)
	cmd := ar.command(ctx, args...)
	cmd.ExtraFiles = []*os.File{w}
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err = cmd.Start()
	w.Close()
	if err != nil {
		return missing(err, "apt-get")
	}
	// dlstatus:item:percent:text
	var done int64
	for sc := bufio.NewScanner(r); sc.Scan(); {
		f := strings.SplitN(sc.Text(), ":", 4)
		if len(f) < 3 || f[0] != "dlstatus" {
			continue
		}
		if percent, err := strconv.ParseFloat(f[2], 64); err == nil {
			if now := int64(percent / 100 * float64(total)); now > done {
				bar.Add(now - done)
				done = now
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return outcome.Errorf(outcome.Infra, "fetch the packages %s for %s: %w", strings.Join(packages, ", "), ar.arch.Debian, aptError(text.String(), err))
	}
	return nil
}

func (m *Maker) progress() io.Writer {
	if m.Progress == nil {
		return io.Discard
	}
	return m.Progress
}

// say tells a person in one line what is going on.
func (m *Maker) say(format string, args ...any) {
	fmt.Fprintf(m.progress(), format+"\n", args...)
}
