package bench

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloudkernel/tools/internal/measure"
)

// A boot is taken apart in a run of its own, since what the kernel then writes
// into its log costs instructions too: with initcall_debug it says of each
// initcall how long it took. PID 1 prints the log when it is done.
const takeApart = "initcall_debug log_buf_len=1M kernlab_log=1"

// topInitcalls is how many of them are named one by one.
const topInitcalls = 12

// breakdown runs a boot again and says where its instructions go.
func (r *Runner) breakdown(ctx context.Context, j *job, rig Rig, t Trial, rep *measure.Report) (measure.Breakdown, error) {
	t.Spec.Cmdline = strings.TrimSpace(t.Spec.Cmdline + " " + takeApart)
	t.Dir = filepath.Join(r.Dir, dirName(fmt.Sprintf("%s-%s-%s-apart", j.Name, j.arch, t.Variant.Name)))
	obs, err := rig.Run(ctx, t)
	rep.Guests += measure.Seconds(obs.Wall.Seconds())
	if err != nil {
		return measure.Breakdown{}, err
	}
	return measure.Breakdown{
		Title:   "where guest time until PID 1 goes, in a boot with initcall_debug (with one CPU, an initcall's time is also what others did while it waited)",
		Variant: t.Variant.Name, Unit: "ns", Parts: bootParts(obs.Log, obs.Marks.PID1),
	}, nil
}

var (
	logLineRE  = regexp.MustCompile(`^<\d+>\[ *(\d+)\.(\d{6})\] (.*)$`)
	returnedRE = regexp.MustCompile(`^initcall (\S+)\+0x\S+ returned \S+ after (\d+) usecs`)
	callingRE  = regexp.MustCompile(`^calling  (\S+)\+0x\S+ @ 1$`)
	initRE     = regexp.MustCompile(`^Run \S+ as init process`)
)

// bootParts takes a boot apart: pid1 is guest time from reset to PID 1, log the
// kernel's log with times since its clock was started and with initcall_debug's
// lines. The parts add up to pid1.
func bootParts(log string, pid1 time.Duration) []measure.Part {
	type call struct {
		name string
		took time.Duration
	}
	var calls []call
	var first, last, exec time.Duration
	seen := false
	for _, l := range lines(log) {
		m := logLineRE.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		at := stamp(m[1], m[2])
		switch text := m[3]; {
		case callingRE.MatchString(text) && !seen:
			first, seen = at, true
		case initRE.MatchString(text):
			exec = at
		default:
			if r := returnedRE.FindStringSubmatch(text); r != nil {
				us, _ := strconv.Atoi(r[2])
				calls = append(calls, call{r[1], time.Duration(us) * time.Microsecond})
				last = at
			}
		}
	}
	if !seen || exec == 0 || exec > pid1 {
		return []measure.Part{{Name: "all of it", Value: float64(pid1)}}
	}
	var parts []measure.Part
	add := func(name string, d time.Duration) { parts = append(parts, measure.Part{Name: name, Value: float64(d)}) }
	add("entry, page tables, memory map (until the kernel's clock runs)", pid1-exec)
	add("from there to the first initcall", first)
	slices.SortStableFunc(calls, func(a, b call) int { return -cmp.Compare(a.took, b.took) })
	var rest, all time.Duration
	for i, c := range calls {
		all += c.took
		if i < topInitcalls {
			add("initcall "+c.name, c.took)
		} else {
			rest += c.took
		}
	}
	add(fmt.Sprintf("%d other initcalls", max(len(calls)-topInitcalls, 0)), rest)
	add("between initcalls, and their lines in the log", max(last-first-all, 0))
	add("after the last initcall, until PID 1", exec-last)
	return parts
}

func stamp(sec, usec string) time.Duration {
	s, _ := strconv.Atoi(sec)
	us, _ := strconv.Atoi(usec)
	return time.Duration(s)*time.Second + time.Duration(us)*time.Microsecond
}
