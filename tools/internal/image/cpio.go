package image

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/cavaliergopher/cpio"
)

// Entry is a file of an archive.
type Entry struct {
	Path string      // in the guest, absolute
	Mode fs.FileMode // type and permission bits; directories that are missing are added with 0755
	// The content of a regular file is Data or, if Source is set, that file's.
	Data   []byte
	Source string
	Link   string // target of a symbolic link
}

// Tree returns entries for what is below the directory dir, as they are to be
// below prefix in the guest.
func Tree(dir, prefix string) ([]Entry, error) {
	var list []Entry
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		e := Entry{Path: path.Join(prefix, filepath.ToSlash(rel)), Mode: info.Mode()}
		switch info.Mode().Type() {
		case 0:
			e.Source = p
		case fs.ModeSymlink:
			if e.Link, err = os.Readlink(p); err != nil {
				return err
			}
		case fs.ModeDir:
			if e.Path == "/" {
				return nil
			}
		default:
			return nil // sockets, pipes and devices mean nothing in another machine
		}
		list = append(list, e)
		return nil
	})
	return list, err
}

// WriteCPIO writes a cpio archive of the format that the kernel unpacks
// ("newc", Documentation/driver-api/early-userspace/buffer-format.rst). The
// same entries give the same bytes: sorted, owned by root, without times.
func WriteCPIO(w io.Writer, entries []Entry) error {
	list, err := complete(entries)
	if err != nil {
		return err
	}
	buf := bufio.NewWriterSize(w, 256<<10)
	cw := cpio.NewWriter(buf)
	for i, e := range list {
		if err := writeEntry(cw, e, int64(i+1)); err != nil {
			return fmt.Errorf("add %s to the archive: %w", e.Path, err)
		}
	}
	if err := cw.Close(); err != nil {
		return err
	}
	return buf.Flush()
}

// complete returns the entries sorted, with the directories they lie in; of
// two entries with one path the later one counts.
func complete(entries []Entry) ([]Entry, error) {
	byPath := map[string]Entry{}
	for _, e := range entries {
		if !path.IsAbs(e.Path) {
			return nil, fmt.Errorf("add %q to the archive: the path must be absolute", e.Path)
		}
		e.Path = path.Clean(e.Path)
		byPath[e.Path] = e
	}
	for p := range byPath {
		for d := path.Dir(p); d != "/"; d = path.Dir(d) {
			if _, ok := byPath[d]; !ok {
				byPath[d] = Entry{Path: d, Mode: fs.ModeDir | 0o755}
			}
		}
	}
	list := make([]Entry, 0, len(byPath))
	for _, e := range byPath {
		list = append(list, e)
	}
	// A directory sorts before what it holds.
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list, nil
}

func writeEntry(cw *cpio.Writer, e Entry, inode int64) error {
	h := &cpio.Header{
		Name:  strings.TrimPrefix(e.Path, "/"),
		Mode:  cpio.FileMode(e.Mode.Perm()),
		Inode: inode,
		Links: 1,
	}
	for bit, flag := range map[fs.FileMode]cpio.FileMode{
		fs.ModeSetuid: cpio.ModeSetuid, fs.ModeSetgid: cpio.ModeSetgid, fs.ModeSticky: cpio.ModeSticky,
	} {
		if e.Mode&bit != 0 {
			h.Mode |= flag
		}
	}
	switch e.Mode.Type() {
	case fs.ModeDir:
		h.Mode |= cpio.TypeDir
		h.Links = 2
		return cw.WriteHeader(h)
	case fs.ModeSymlink:
		h.Mode = cpio.TypeSymlink | 0o777
		e.Source, e.Data = "", []byte(e.Link) // a link's content is its target
	case 0:
		h.Mode |= cpio.TypeReg
	default:
		return fmt.Errorf("a file of type %v cannot be packed", e.Mode.Type())
	}
	if e.Source == "" {
		h.Size = int64(len(e.Data))
		if err := cw.WriteHeader(h); err != nil {
			return err
		}
		_, err := cw.Write(e.Data)
		return err
	}
	f, err := os.Open(e.Source)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Size = info.Size()
	if err := cw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(cw, f)
	return err
}
