package plot

import (
	"io"
	"os"
	"path/filepath"

	"cloudkernel/tools/internal/measure"
)

// Write writes a report into a directory: index.html, results.txt,
// results.json, and every plot as SVG and PNG below plots.
func Write(dir string, r *measure.Report) error {
	if err := os.MkdirAll(filepath.Join(dir, "plots"), 0o755); err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"results.txt", r.WriteText},
		{"results.json", r.WriteJSON},
		{"index.html", func(w io.Writer) error { return Page(w, r) }},
	} {
		if err := writeFile(filepath.Join(dir, f.name), f.write); err != nil {
			return err
		}
	}
	for i := range r.Benchmarks {
		figs, err := Figures(&r.Benchmarks[i])
		if err != nil {
			return err
		}
		for _, f := range figs {
			png, err := f.PNG()
			if err != nil {
				return err
			}
			base := filepath.Join(dir, "plots", f.Name)
			if err := os.WriteFile(base+".png", png, 0o644); err != nil {
				return err
			}
			if err := os.WriteFile(base+".svg", []byte(f.SVG()+"\n"), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
