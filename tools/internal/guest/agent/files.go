package agent

import (
	"io"
	"os"
	"path/filepath"

	"cloudkernel/tools/internal/guest"
)

// put writes stdin to a file, which appears whole or not at all.
func put(s *guest.Session, f *guest.File) error {
	defer s.Drop(guest.Stdin)
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	// Files of /proc and /sys can only be written in place.
	if st, err := os.Stat(f.Path); err == nil {
		if st.Size() == 0 || !st.Mode().IsRegular() {
			return putInPlace(s, f)
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.Path), ".put-*")
	if err != nil {
		return putInPlace(s, f)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := io.Copy(tmp, s.In(guest.Stdin)); err != nil {
		return err // and nothing appears
	}
	if err := tmp.Chmod(os.FileMode(f.Mode & 0o7777)); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), f.Path)
}

func putInPlace(s *guest.Session, f *guest.File) error {
	w, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, os.FileMode(f.Mode&0o777))
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.Copy(w, s.In(guest.Stdin)); err != nil {
		return err
	}
	return w.Close()
}

// get sends a file as stdout.
func get(s *guest.Session, f *guest.File) error {
	r, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(s.Out(guest.Stdout), r)
	return err
}
