package livepatch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"cloudkernel/tools/internal/outcome"
)

// Installed is a hotpatch that is applied at every start of its kernel.
type Installed struct {
	Name  string `json:"name"`
	File  string `json:"file"`
	State State  `json:"state"`
	// Kernel is the release it is for, Here whether that is the running kernel.
	Kernel string `json:"kernel"`
	Here   bool   `json:"here"`
	// Suspect says why it is not tried again at boot, if it is not.
	Suspect string `json:"suspect,omitempty"`
}

func (h *Host) installDir() string { return h.path(h.Dir, "installed") }

// units are the systemd units that apply what is installed when the host
// starts, and note that it went well: after two minutes, or when the host is
// shut down in order.
var units = map[string]string{
	"hotpatch.service": `[Unit]
Description=Apply installed hotpatches
After=local-fs.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=%s boot --dir %s
ExecStop=%[1]s boot --settled --dir %[2]s

[Install]
WantedBy=multi-user.target
`,
	"hotpatch-settled.service": `[Unit]
Description=Note that the host is well with its hotpatches
After=hotpatch.service

[Service]
Type=oneshot
ExecStart=%s boot --settled --dir %s
`,
	"hotpatch-settled.timer": `[Unit]
Description=Note that the host is well with its hotpatches, two minutes after boot

[Timer]
OnBootSec=2min

[Install]
WantedBy=timers.target
`,
}

// wants are the links by which systemd starts the units.
var wants = map[string]string{
	"hotpatch.service":       "multi-user.target.wants",
	"hotpatch-settled.timer": "timers.target.wants",
}

const systemdDir = "etc/systemd/system"

// Install keeps a hotpatch to be applied at every start of the kernel that it
// is for. binary is the path of this program, which systemd is told to run.
func (h *Host) Install(ctx context.Context, f *File, binary string) (*Installed, error) {
	if h.sys.uid() != 0 {
		return nil, outcome.Errorf(outcome.Infra, "only root may do this: run it as root; nothing was changed")
	}
	j, err := h.openJournal(ctx)
	if err != nil {
		return nil, err
	}
	defer j.close()
	name := f.Manifest.Name
	end, err := j.begin(Entry{Op: OpInstall, Patch: name, SHA256: f.SHA256})
	if err != nil {
		return nil, err
	}
	err = func() error {
		if err := os.MkdirAll(h.installDir(), 0o755); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(h.installDir(), name+".ko"), f.Data); err != nil {
			return err
		}
		return h.writeUnits(binary)
	}()
	if err = end(err, ""); err != nil {
		return nil, fmt.Errorf("install %s: %w", name, err)
	}
	return h.installed(name + ".ko")
}

// writeUnits writes the systemd units, if the host has systemd.
func (h *Host) writeUnits(binary string) error {
	if _, err := os.Stat(h.path("etc/systemd")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for name, text := range units {
		if strings.Contains(text, "%s") {
			text = fmt.Sprintf(text, binary, h.Dir)
		}
		if err := os.MkdirAll(h.path(systemdDir), 0o755); err != nil {
			return err
		}
		if err := writeFile(h.path(systemdDir, name), []byte(text)); err != nil {
			return err
		}
	}
	for name, target := range wants {
		dir := h.path(systemdDir, target)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Symlink("../"+name, filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// Uninstall undoes Install; what is applied stays so. With the last hotpatch
// the systemd units go, too.
func (h *Host) Uninstall(ctx context.Context, name string) error {
	if h.sys.uid() != 0 {
		return outcome.Errorf(outcome.Infra, "only root may do this: run it as root; nothing was changed")
	}
	file := filepath.Join(h.installDir(), name+".ko")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	j, err := h.openJournal(ctx)
	if err != nil {
		return err
	}
	defer j.close()
	end, err := j.begin(Entry{Op: OpUninstall, Patch: name})
	if err != nil {
		return err
	}
	err = os.Remove(file)
	if left, _ := filepath.Glob(filepath.Join(h.installDir(), "*.ko")); err == nil && len(left) == 0 {
		for unit, target := range wants {
			_ = os.Remove(h.path(systemdDir, target, unit))
		}
		for unit := range units {
			_ = os.Remove(h.path(systemdDir, unit))
		}
	}
	return end(err, "")
}

// ListInstalled returns what is installed, by name.
func (h *Host) ListInstalled() ([]Installed, error) {
	entries, err := os.ReadDir(h.installDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Installed
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".ko") && !strings.HasPrefix(e.Name(), ".") {
			i, err := h.installed(e.Name())
			if err != nil {
				i = &Installed{Name: strings.TrimSuffix(e.Name(), ".ko"), File: filepath.Join(h.installDir(), e.Name()), Suspect: err.Error()}
			}
			list = append(list, *i)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

func (h *Host) installed(base string) (*Installed, error) {
	f, err := ReadFile(filepath.Join(h.installDir(), base))
	if err != nil {
		return nil, err
	}
	i := &Installed{Name: f.Manifest.Name, File: f.Path, Kernel: f.Manifest.Release, State: h.State(f.Manifest.Name)}
	i.Here = h.forThisKernel(f)
	if i.Suspect, err = h.suspect(f); err != nil {
		return nil, err
	}
	return i, nil
}

func (h *Host) forThisKernel(f *File) bool {
	release, err1 := h.Release()
	id, err2 := h.BuildID("vmlinux")
	return err1 == nil && err2 == nil && release == f.Manifest.Release && id != "" && id == f.Manifest.BuildID
}

// suspect says why a hotpatch must not be applied at boot: because the host
// went down after the last time that was done, and nothing says that it was
// well by then. Installing the hotpatch again clears that.
func (h *Host) suspect(f *File) (string, error) {
	entries, err := h.Journal()
	if err != nil {
		return "", err
	}
	boot, tried := h.BootID(), ""
	var when string
	for _, e := range entries {
		switch {
		case e.Op == OpInstall && e.Done && e.Patch == f.Manifest.Name:
			tried = ""
		case e.Op == OpBoot && !e.Done && e.SHA256 == f.SHA256 && e.Boot != boot:
			tried, when = e.Boot, e.Time.Format("2006-01-02 15:04:05Z")
		case e.Op == OpSettled && e.Boot == tried:
			tried = ""
		case e.Op == OpBoot && e.Done && e.Error != "" && e.Boot == tried && e.SHA256 == f.SHA256:
			tried = "" // it was not applied, and the host lived on
		}
	}
	if tried == "" {
		return "", nil
	}
	return fmt.Sprintf("the host went down after it was applied at boot at %s, before it was known to be well", when), nil
}

// BootResult is what was done with one installed hotpatch.
type BootResult struct {
	Name   string  `json:"name"`
	Result *Result `json:"result,omitempty"`
	// Skipped says why it was not applied, if it was not tried.
	Skipped string `json:"skipped,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Boot applies what is installed for the running kernel. It is called when the
// host starts.
func (h *Host) Boot(ctx context.Context, opt Options) ([]BootResult, error) {
	list, err := h.ListInstalled()
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if err := h.mayChange(); err != nil {
		return nil, err
	}
	j, err := h.openJournal(ctx)
	if err != nil {
		return nil, err
	}
	defer j.close()
	var results []BootResult
	for _, i := range list {
		r := BootResult{Name: i.Name}
		switch {
		case i.Suspect != "":
			r.Skipped = i.Suspect + "; install it again to have it tried again"
		case !i.Here:
			r.Skipped = "it is for another kernel, " + i.Kernel
		default:
			r.Result, err = h.bootOne(ctx, j, i.File, opt)
			if err != nil {
				r.Error = err.Error()
			}
		}
		results = append(results, r)
	}
	return results, nil
}

func (h *Host) bootOne(ctx context.Context, j *journal, path string, opt Options) (*Result, error) {
	f, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := Failed(h.Check(f)); err != nil {
		return nil, err
	}
	return h.applyLocked(ctx, j, f, opt, OpBoot)
}

// Settled notes that the host is well with what was applied at boot.
func (h *Host) Settled(ctx context.Context) error {
	j, err := h.openJournal(ctx)
	if err != nil {
		return err
	}
	defer j.close()
	return j.write(Entry{Op: OpSettled, Done: true})
}

// writeFile writes a file whole or not at all, and waits until it is on disk.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}
