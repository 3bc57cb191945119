package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

// stdout is the file name that stands for the standard output.
const stdout = "-"

// Options say which reports a command writes, beside or instead of the text.
// Each is a file's name, "-" for the standard output (which then holds no
// text), "" for none.
type Options struct {
	JSON, JUnit, KTAP string
}

// AddFlags adds the flags of every command that runs cases.
func (o *Options) AddFlags(f *pflag.FlagSet) {
	add := func(p *string, name, what string) {
		f.StringVar(p, name, "", "write "+what+" to `FILE` (--"+name+"=FILE), or to the standard output instead of the text")
		f.Lookup(name).NoOptDefVal = stdout
	}
	add(&o.JSON, "json", "a JSON report")
	add(&o.JUnit, "junit", "a JUnit XML report")
	add(&o.KTAP, "ktap", "a KTAP report")
}

// reports pairs each report with its writer.
func (o *Options) reports() []struct {
	file  string
	write func(io.Writer, *result.Run) error
} {
	return []struct {
		file  string
		write func(io.Writer, *result.Run) error
	}{{o.JSON, JSON}, {o.JUnit, JUnit}, {o.KTAP, KTAP}}
}

// Sink returns the sink for a run whose reports o names: events go to
// progress as they come, the text to out when the run is closed. It fails when
// two reports want the standard output, or a file cannot be written: better
// now than after an hour.
func (o *Options) Sink(out, progress io.Writer) (*Sink, error) {
	onStdout := 0
	for _, r := range o.reports() {
		switch r.file {
		case "":
		case stdout:
			onStdout++
		default:
			if err := writable(r.file); err != nil {
				return nil, outcome.Errorf(outcome.Infra, "report: %w", err)
			}
		}
	}
	if onStdout > 1 {
		return nil, fmt.Errorf("only one report can go to the standard output; give the others a file: --junit=FILE")
	}
	return &Sink{Live: NewLive(progress), opt: *o, out: out, quiet: onStdout > 0}, nil
}

// writable makes the directory of a report and proves that files can be made there.
func writable(file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if st, err := os.Stat(file); err == nil && st.IsDir() {
		return fmt.Errorf("%s is a directory", file)
	}
	f, err := os.CreateTemp(dir, ".report-*")
	if err != nil {
		return err
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

// Sink shows a run while it runs, and writes its reports when it is closed.
type Sink struct {
	*Live
	opt   Options
	out   io.Writer
	quiet bool // the standard output belongs to a report
}

// Close ends the live window and writes every report.
func (s *Sink) Close(r *result.Run) error {
	if err := s.Live.Close(r); err != nil {
		return err
	}
	if !s.quiet {
		opt := TextOptions{Color: Color(s.out), Width: width(s.out)}
		if err := Text(s.out, r, opt); err != nil {
			return err
		}
	}
	for _, rep := range s.opt.reports() {
		if err := s.write(rep.file, rep.write, r); err != nil {
			return outcome.Errorf(outcome.Infra, "report: %w", err)
		}
	}
	return nil
}

func (s *Sink) write(file string, write func(io.Writer, *result.Run) error, r *result.Run) error {
	switch file {
	case "":
		return nil
	case stdout:
		return write(s.out, r)
	}
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		return err
	}
	// Whole or not at all: whoever waits for the file never reads half of it.
	tmp := file + ".part"
	if err := os.WriteFile(tmp, b.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// width returns the columns of the terminal behind w, 0 if it is none.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}
