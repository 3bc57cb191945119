package livepatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"

	"cloudkernel/tools/internal/outcome"
)

// Op is something that was asked for.
type Op string

// Operations.
const (
	OpApply     Op = "apply"
	OpRevert    Op = "revert"
	OpUnload    Op = "unload"
	OpInstall   Op = "install"
	OpUninstall Op = "uninstall"
	OpBoot      Op = "boot"    // applied when the host started
	OpSettled   Op = "settled" // the host is well after OpBoot
)

// Entry is one line of the journal. Every operation has two: one before
// anything is done, one with the result.
type Entry struct {
	Time   time.Time `json:"time"`
	Boot   string    `json:"boot"` // boot_id of the running kernel
	PID    int       `json:"pid"`
	Op     Op        `json:"op"`
	Patch  string    `json:"patch,omitempty"`
	SHA256 string    `json:"sha256,omitempty"` // of the module file
	// Done is set in the second entry; Error says what went wrong, if anything.
	Done  bool   `json:"done"`
	Error string `json:"error,omitempty"`
	Note  string `json:"note,omitempty"`
}

// reserve is room kept for the entry that ends an operation, in bytes, so that
// a full disk shows before anything is done and not after.
const reserve = 4096

// journal is the open journal, locked against other processes.
type journal struct {
	h    *Host
	lock *flock.Flock
	file *os.File
	size int64
}

func (h *Host) journalPath() string { return h.path(h.Dir, "journal") }

// openJournal waits for other processes that change something, and opens the
// journal for writing.
func (h *Host) openJournal(ctx context.Context) (*journal, error) {
	dir := h.path(h.Dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, outcome.Errorf(outcome.Infra, "make the directory of the journal: %w; nothing was changed", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	if ok, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil || !ok {
		return nil, fmt.Errorf("wait for another hotpatch to end: %w", err)
	}
	// Everybody may read it: status needs no root.
	f, err := os.OpenFile(h.journalPath(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		_ = lock.Close()
		return nil, outcome.Errorf(outcome.Infra, "open the journal: %w; nothing was changed", err)
	}
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		syncDir(dir) // or a crash may take the whole new file away
		syncDir(filepath.Dir(dir))
	}
	j := &journal{h: h, lock: lock, file: f}
	if err := j.seekEnd(); err != nil {
		j.close()
		return nil, outcome.Errorf(outcome.Infra, "read the journal: %w; nothing was changed", err)
	}
	return j, nil
}

// syncDir waits until a directory's entries are on disk, where that can be had.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// seekEnd finds the end of the last whole line; what follows was cut off by a
// crash and is written over.
func (j *journal) seekEnd() error {
	data, err := io.ReadAll(j.file)
	if err != nil {
		return err
	}
	j.size = int64(bytes.LastIndexByte(data, '\n') + 1)
	return nil
}

func (j *journal) close() {
	_ = j.file.Truncate(j.size)
	_ = j.file.Close()
	_ = j.lock.Close()
}

// write adds an entry and waits until it is on disk.
func (j *journal) write(e Entry) error {
	e.Time, e.Boot, e.PID = j.h.sys.now().UTC(), j.h.BootID(), os.Getpid()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		_ = j.file.Truncate(j.size)
		return err
	}
	j.size += int64(len(line))
	return j.file.Sync()
}

// begin writes the first entry of an operation, and keeps room for the second.
func (j *journal) begin(e Entry) (end func(err error, note string) error, err error) {
	err = j.write(e)
	if err == nil {
		err = unix.Fallocate(int(j.file.Fd()), unix.FALLOC_FL_KEEP_SIZE, j.size, reserve)
		if errors.Is(err, unix.EOPNOTSUPP) {
			err = nil // a file system without; it may still have room later
		}
	}
	if err != nil {
		return nil, outcome.Errorf(outcome.Infra, "write the journal: %w; nothing was changed", err)
	}
	return func(err error, note string) error {
		e.Done, e.Note, e.Error = true, clip(note), ""
		if err != nil {
			e.Error = clip(err.Error())
		}
		if werr := j.write(e); werr != nil && err == nil {
			return outcome.Errorf(outcome.Infra, "%s %s is done, but the journal could not be written: %w", e.Op, e.Patch, werr)
		}
		return err
	}, nil
}

// clip bounds a text so that its entry fits into what was reserved.
func clip(s string) string {
	const most = 1000
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}

// Journal reads the journal, oldest entry first. Lines that cannot be read are
// left out.
func (h *Host) Journal() ([]Entry, error) {
	data, err := os.ReadFile(h.journalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Entry
	for line := range bytes.Lines(data) {
		var e Entry
		if json.Unmarshal(line, &e) == nil && e.Op != "" {
			list = append(list, e)
		}
	}
	return list, nil
}

// Unfinished is an operation that was begun and did not end.
type Unfinished struct {
	Entry
	// Crashed is set when the kernel that it was begun under is gone: the host
	// crashed or was switched off. Otherwise the process was killed, or is
	// still at work.
	Crashed bool `json:"crashed"`
	// Running is set when the process is still there.
	Running bool `json:"running"`
}

// What says in words what became of it.
func (u Unfinished) What() string {
	switch {
	case u.Crashed:
		return "the host went down before it ended"
	case u.Running:
		return "at work"
	}
	return "the process was killed before it ended"
}

// Unfinished returns the operations that did not end, and that nothing was done
// about since.
func (h *Host) Unfinished() ([]Unfinished, error) {
	entries, err := h.Journal()
	if err != nil {
		return nil, err
	}
	open := map[string]Entry{}
	var order []string
	for _, e := range entries {
		// A later operation on the same patch supersedes what was open.
		if e.Done {
			delete(open, e.Patch)
			continue
		}
		if _, ok := open[e.Patch]; !ok {
			order = append(order, e.Patch)
		}
		open[e.Patch] = e
	}
	boot := h.BootID()
	var list []Unfinished
	for _, p := range order {
		e, ok := open[p]
		if !ok {
			continue
		}
		delete(open, p)
		u := Unfinished{Entry: e, Crashed: e.Boot != boot}
		if !u.Crashed {
			comm, err := h.line("proc", fmt.Sprint(e.PID), "comm")
			u.Running = err == nil && comm == "hotpatch"
		}
		list = append(list, u)
	}
	return list, nil
}
