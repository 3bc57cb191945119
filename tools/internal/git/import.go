package git

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// Importer writes commits into a repository through git fast-import.
type Importer struct {
	w    *bufio.Writer
	pipe *io.PipeWriter
	done chan error
	err  error
}

// Person is an author or a committer at a time.
type Person struct {
	Name, Email string
	When        time.Time
}

func (p Person) line(role string) string {
	clean := strings.NewReplacer("<", "", ">", "", "\n", " ", "\x00", "")
	return fmt.Sprintf("%s %s <%s> %d %s\n", role, clean.Replace(p.Name), clean.Replace(p.Email), p.When.Unix(), p.When.Format("-0700"))
}

// Import starts git fast-import. End must be called.
func (r Repo) Import(ctx context.Context) *Importer {
	pr, pw := io.Pipe()
	im := &Importer{w: bufio.NewWriterSize(pw, 1<<20), pipe: pw, done: make(chan error, 1)}
	go func() {
		// Deltas and a hard-working zlib would save disk and cost a minute.
		err := r.Stream(ctx, pr, io.Discard, nil, "-c", "core.compression=1", "-c", "pack.compression=1",
			"fast-import", "--quiet", "--force", "--done", "--depth=0", "--date-format=raw")
		_ = pr.CloseWithError(io.ErrClosedPipe) // wakes a writer that git no longer reads from
		im.done <- err
	}()
	return im
}

func (im *Importer) printf(format string, args ...any) {
	if im.err == nil {
		_, im.err = fmt.Fprintf(im.w, format, args...)
	}
}

func (im *Importer) data(b []byte) {
	im.printf("data %d\n", len(b))
	if im.err == nil {
		_, im.err = im.w.Write(b)
	}
	im.printf("\n")
}

// Commit begins a commit on ref. Its parent is where ref stands since the last
// Reset or Commit of this import; a ref that was not set has a commit without
// parent. File and Delete say how it differs from that.
func (im *Importer) Commit(ref string, author, committer Person, message string) error {
	im.printf("commit %s\n%s%s", ref, author.line("author"), committer.line("committer"))
	im.data([]byte(message))
	return im.err
}

// File gives a path its content: data is a symbolic link's target.
func (im *Importer) File(path string, mode fs.FileMode, data []byte) error {
	git := "100644"
	switch {
	case mode&fs.ModeSymlink != 0:
		git = "120000"
	case mode&0o111 != 0:
		git = "100755"
	}
	im.printf("M %s inline %s\n", git, quotePath(path))
	im.data(data)
	return im.err
}

// Delete removes a path.
func (im *Importer) Delete(path string) error {
	im.printf("D %s\n", quotePath(path))
	return im.err
}

// Reset sets a ref to a commit.
func (im *Importer) Reset(ref, commit string) error {
	im.printf("reset %s\nfrom %s\n\n", ref, commit)
	return im.err
}

// End finishes the import, or gives it up when err is not nil: then the
// repository stays as it was and err is returned.
func (im *Importer) End(err error) error {
	if err == nil {
		im.printf("done\n")
		if err = im.err; err == nil {
			err = im.w.Flush()
		}
	}
	_ = im.pipe.CloseWithError(err)
	git := <-im.done
	if err == nil || im.err != nil {
		return git // git's own words say why the pipe broke
	}
	return err
}

// quotePath quotes a path as fast-import reads it.
func quotePath(p string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(p) + `"`
}
