package git

import (
	"context"
	"io"
	"regexp"
	"strconv"

	"cloudkernel/tools/internal/progress"
)

// Checkout runs a git command that writes the work tree (checkout, reset) and
// shows on w how far it is.
func (r Repo) Checkout(ctx context.Context, w io.Writer, what string, args ...string) error {
	m := &meter{w: w, what: what}
	defer m.done()
	args = append([]string{"-c", "checkout.workers=0", "-c", "checkout.thresholdForParallelism=1000"}, args...)
	return r.Stream(ctx, nil, io.Discard, m, args...)
}

// meter turns git's own progress ("Updating files:  12% (10395/86629)") into ours.
type meter struct {
	w    io.Writer
	what string
	bar  *progress.Bar
	at   int64
}

var meterRE = regexp.MustCompile(`\((\d+)/(\d+)\)`)

func (m *meter) Write(p []byte) (int, error) {
	if all := meterRE.FindAllSubmatch(p, -1); len(all) > 0 {
		last := all[len(all)-1]
		n, _ := strconv.ParseInt(string(last[1]), 10, 64)
		total, _ := strconv.ParseInt(string(last[2]), 10, 64)
		if m.bar == nil {
			m.bar = progress.New(m.w, m.what, "files", total)
		}
		if n > m.at {
			m.bar.Add(n - m.at)
			m.at = n
		}
	}
	return len(p), nil
}

func (m *meter) done() {
	if m.bar != nil {
		m.bar.Done()
	}
}
