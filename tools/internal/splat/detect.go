package splat

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxSplats   = 100             // kept of one console
	maxText     = 1000            // lines kept of one splat
	maxUntraced = 40              // lines of a report before its call trace starts
	maxPause    = 5 * time.Second // guest time within one report
	// aftermath is how long after a splat a panic may come that it led to.
	aftermath = 10 * time.Second
)

// Detector finds splats on one console. The zero value is ready.
type Detector struct {
	done    []Splat
	open    *report
	lines   int           // read so far
	at      time.Duration // guest time of the last line that had one
	lastAt  time.Duration // guest time of the last line of the splat that ended last
	fatal   bool
	dropped int
}

// report is a splat that is still being printed.
type report struct {
	Splat
	rule    *rule
	stamped bool // its first line had a time stamp; lines without are not the kernel's
	frames  []frame
	tracing bool // "Call trace:" has been seen
	traced  bool // … and a frame below it
	after   bool // its end was seen; x86 repeats the registers
	useful  int  // lines of Text up to the last that certainly belongs to it
	untrace int  // lines before the call trace
}

// stampRE is printk's prefix: the time, and perhaps who printed.
var stampRE = regexp.MustCompile(`\[ *(\d{1,9})\.(\d{6})\](?:\[ *[TC]\d+\])? ?`)

// strip returns a line without printk's prefix and the guest time in it.
func strip(raw string) (text string, at time.Duration, stamped bool) {
	raw = strings.TrimRight(raw, " \t\r\n")
	m := stampRE.FindStringSubmatchIndex(raw)
	if m == nil {
		return raw, 0, false
	}
	sec, _ := strconv.ParseInt(raw[m[2]:m[3]], 10, 64)
	usec, _ := strconv.ParseInt(raw[m[4]:m[5]], 10, 64)
	return raw[m[1]:], time.Duration(sec)*time.Second + time.Duration(usec)*time.Microsecond, true
}

// Line reads one line of the console. It returns true if a splat begins with
// it.
func (d *Detector) Line(raw string) bool {
	d.lines++
	text, at, stamped := strip(raw)
	if stamped {
		d.at = at
	}
	if d.open != nil && d.open.stamped {
		if !stamped {
			return false // a program's output between the kernel's lines
		}
		if at-d.lastAt > maxPause && d.open.rule.end != endPanic {
			d.finish()
		}
	}
	raw = strings.TrimRight(raw, "\r\n")
	r, m := match(text)
	if r == nil {
		d.interior(raw, text)
		return false
	}
	return d.step(r, m, raw, text, stamped)
}

// step reads a line that starts or continues a report.
func (d *Detector) step(r *rule, m []string, raw, text string, stamped bool) bool {
	if consequences.MatchString(text) && d.consequence(raw) {
		return false
	}
	if o := d.open; o != nil && slices.Contains(r.joins, o.Kind) {
		o.add(raw)
		d.lastAt = d.at
		if o.Kind == start || r.renames {
			o.Kind, o.Title = r.kind, r.fill(m)
		}
		if r.end == endOnce {
			d.finish()
		} else if o.rule.end == endNone {
			o.rule = r
		}
		return o.Kind != start && r.kind != start
	}
	if d.open != nil {
		if d.open.rule.end == endPanic {
			d.interior(raw, text) // nothing is news after a panic
			return false
		}
		d.finish()
	}
	d.open = &report{rule: r, stamped: stamped, Splat: Splat{Kind: r.kind, Title: r.fill(m), Line: d.lines}}
	d.open.add(raw)
	d.lastAt = d.at
	switch r.end {
	case endPanic:
		d.open.Fatal, d.fatal = true, true
	case endOnce:
		d.finish()
	}
	return r.kind != start
}

// consequence adds a panic to the splat that led to it, and reports whether
// there is one.
func (d *Detector) consequence(raw string) bool {
	if d.open == nil {
		n := len(d.done)
		if n == 0 || d.at-d.lastAt > aftermath {
			return false
		}
		switch d.done[n-1].Kind {
		case Kmemleak, Unwind, BTF:
			return false // never end a kernel
		}
		d.open = &report{Splat: d.done[n-1], stamped: true, traced: true, after: true}
		d.done = d.done[:n-1]
	}
	d.open.rule = &rule{kind: d.open.Kind, end: endPanic, title: d.open.Title}
	d.open.Fatal, d.fatal = true, true
	d.open.add(raw)
	return true
}

// add takes a line that certainly belongs to the report.
func (o *report) add(raw string) {
	if len(o.Text) < maxText {
		o.Text = append(o.Text, raw)
	}
	o.useful = len(o.Text)
}

// interior reads a line that starts nothing.
func (d *Detector) interior(raw, text string) {
	o := d.open
	if o == nil {
		return
	}
	sure := belongs(text) || (o.rule.end == endLoose && looseRE.MatchString(text))
	f, isFrame := parseFrame(text)
	if isFrame {
		o.frames = append(o.frames, f)
	}
	switch {
	case strings.HasPrefix(text, "stack backtrace:"):
		o.frames, o.rule = nil, withoutLateTrace(o.rule)
	case strings.HasPrefix(text, "Call trace:"), strings.HasPrefix(text, "Call Trace:"):
		o.tracing = true
		if o.Kind == Slab {
			o.frames = nil // of who allocated and freed
		}
	case isFrame && !f.counter && o.tracing && !o.rule.lateTrace:
		o.traced = true
	}
	switch {
	case o.rule.end == endPanic:
		sure = true
	case o.rule.end == endRuler:
		if len(o.Text) > 1 && rulerRE.MatchString(text) {
			o.add(raw)
			d.finish()
			return
		}
	case o.rule.end == endOOM:
	case o.after:
		if !trailerRE.MatchString(text) {
			d.finish()
			return
		}
	case strings.HasPrefix(text, "---[ end trace"):
		o.after, sure = true, true
	case o.traced && !sure:
		d.finish()
		return
	case o.traced && text == " </TASK>" && o.rule.end != endLoose && !cutHere(o):
		o.add(raw)
		d.finish()
		return
	case !o.traced && !o.rule.lateTrace:
		if o.untrace++; o.untrace > maxUntraced {
			d.finish()
			return
		}
	}
	if len(o.Text) < maxText {
		o.Text = append(o.Text, raw)
	}
	if sure && strings.TrimSpace(text) != "" {
		o.useful = len(o.Text)
	}
	d.lastAt = d.at
}

// cutHere reports whether o is of those that end with "---[ end trace".
func cutHere(o *report) bool {
	switch o.Kind {
	case Oops, Bug, Warning, UBSAN, List, Refcount:
		return strings.Contains(o.Text[0], "cut here") || o.Kind == Oops || o.Kind == List
	}
	return false
}

func withoutLateTrace(r *rule) *rule {
	c := *r
	c.lateTrace = false
	return &c
}

// finish ends the open report.
func (d *Detector) finish() {
	o := d.open
	d.open = nil
	if o == nil {
		return
	}
	if o.Kind == start {
		// Nothing after "cut here" was known: the line below it is a name.
		if len(o.Text) < 2 {
			return
		}
		text, _, _ := strip(o.Text[1])
		o.Kind, o.Title = Warning, cmp.Or(capture(text), "cut here")
	}
	if o.rule.end != endOOM && o.rule.end != endPanic {
		o.Text = o.Text[:max(o.useful, 1)]
	}
	if title, ok := strings.CutSuffix(o.Title, " in"); ok {
		o.Title = title
		if f := blame(o.interrupted()); f != "" {
			o.Title += " in " + f
		}
	}
	if o.Title == "suspicious RCU usage" {
		o.Title += suspect(o.Text)
	}
	if len(d.done) >= maxSplats && !o.Fatal {
		d.dropped++
		return
	}
	d.done = append(d.done, o.Splat)
}

// interrupted returns the frames in which to look for the function at fault.
// What is stalled or locked up was found by an interrupt, whose own frames and
// those of interrupts it came upon stand before those of the culprit.
func (o *report) interrupted() []frame {
	switch o.Kind {
	case RCUStall, SoftLockup, HardLockup, WorkqueueHang:
		if len(o.frames) > 0 && o.frames[0].counter {
			return o.frames
		}
		for i := len(o.frames) - 1; i > 0; i-- {
			if interruptRE.MatchString(o.frames[i].function) {
				return o.frames[i+1:]
			}
		}
	}
	return o.frames
}

// interruptRE is the outermost frame of an interrupt.
var interruptRE = regexp.MustCompile(`^(?:el1h_64_(?:irq|fiq)|asm_(?:sysvec_\w+|common_interrupt)|asm_exc_nmi|nmi)$`)

// suspectRE is the line under "suspicious RCU usage": place and what was used.
var suspectRE = regexp.MustCompile(`^(\S+\.[chS]):\d+ `)

func suspect(text []string) string {
	for _, raw := range text {
		line, _, _ := strip(raw)
		if m := suspectRE.FindStringSubmatch(line); m != nil {
			return " at " + capture(m[1])
		}
	}
	return ""
}

// Fatal reports whether the kernel stopped, as far as was read.
func (d *Detector) Fatal() bool { return d.fatal }

// Close ends the console and returns what was found, in order. The second
// result is how many more there were than are kept.
func (d *Detector) Close() ([]Splat, int) {
	d.finish()
	return d.done, d.dropped
}

// Scan finds the splats in a whole console log.
func Scan(log string) []Splat {
	var d Detector
	for line := range strings.Lines(log) {
		d.Line(line)
	}
	found, _ := d.Close()
	return found
}

var (
	rulerRE = regexp.MustCompile(`^={20,}$`)
	// bodyRE is what stands in a report beside its call trace.
	bodyRE = regexp.MustCompile(`^(?:Call [tT]race:|\s*(?:\? )?0x[0-9a-f]+$|\s*</?[A-Z]+>\s*$|Code: |RIP: |[RE](?:SP|AX|DX|BP|BX|CX|SI|DI|IP|\d\d): |R\d\d: |FS:|CS:|CR[0-4]: |DR\d: |PKRU: |` +
		`x\d+ *: |(?:pc|lr|sp|pstate|pmr_save) ?: |CPU: \d+|Hardware name: |Tainted: |Modules linked in:|Unloaded tainted modules|Workqueue: |Stopper: |` +
		`irq event stamp: |(?:hard|soft)irqs last |---\[ |\d+ locks? held by |no locks held by |\s+#\d+: |note: |\[<[0-9a-f]+>\]|Kernel Offset: |SMP: stopping|` +
		`CPU features: |Memory Limit: |task:\S|Preemption disabled at:|Thread overran stack|Sched_ext: |PHYS_OFFSET: |INFO: lockdep is turned off|` +
		`Mem abort info:|Data abort info:|  (?:ESR|EC|SET|EA|FSC|ISV|CM|GCS) = |user pgtable: |swapper pgtable: |\[[0-9a-f]{16}\] (?:pgd|address)|#PF: |PGD |\s+last  |` +
		`active_anon:|\s(?:active|inactive)_file:|\s(?:unevictable|slab_reclaimable|mapped|sec_pagetables|kernel_misc_reclaimable|free):|lowmem_reserve|` +
		`\d+ (?:total pagecache )?pages\b|(?:Free|Total) swap|caller is |in_atomic\(\): |preempt_count: |RCU nest depth: |Mem-Info:|Node \d+ |"echo 0 > |      (?:Not tainted|Tainted:)|` +
		`other info that might|stack backtrace:|(?:which lock already|but task is|the existing dependency)|\s*\*\*\* DEADLOCK|` +
		`Showing all locks|Rebooting in|NMI backtrace|Sending NMI|Shutting down cpus)`)
	looseRE   = regexp.MustCompile(`^(?:rcu: |\s|Task dump|RCU grace-period|Stack dump|Showing |workqueue \S+: flags|pool \d+|All QSes|CPU#|task:)`)
	trailerRE = regexp.MustCompile(`^(?:RIP: |Code: |[RE](?:SP|AX|DX|BP|BX|CX|SI|DI|IP): |R\d\d: |FS: |CS: |CR[0-4]: |DR\d: |PKRU: |note: |Fixing recursive fault)`)
)

// belongs reports whether text is certainly part of some report.
func belongs(text string) bool {
	if strings.TrimSpace(text) == "" || bodyRE.MatchString(text) {
		return true
	}
	_, ok := parseFrame(text)
	return ok
}
