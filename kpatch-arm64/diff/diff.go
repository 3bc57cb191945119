package diff

import (
	"errors"
	"fmt"

	"cloudkernel/kpatch-arm64/debuginfo"
	"cloudkernel/kpatch-arm64/object"
)

// Why says why something is part of the result.
type Why string

// Reasons.
const (
	WhyInstruction Why = "instruction" // an instruction differs
	WhyReference   Why = "reference"   // the same instruction refers to something else
	WhySize        Why = "size"        // one is longer than the other
	WhyTable       Why = "table"       // a special table says something else about it
	WhyPart        Why = "part"        // a part that was split off changed
	WhyCallee      Why = "callee"      // it calls a changed function that has no patch site
	WhyNew         Why = "new"         // there was nothing like it
	WhyNeeded      Why = "needed"      // something that is included refers to it
	WhyForced      Why = "forced"      // the patch asked for it
)

// Reason explains one decision. Off is where in the function the first
// difference lies, in bytes from its symbol; File and Line are that place in
// the source, if known; Before and After say what stands there.
type Reason struct {
	Why    Why    `json:"why"`
	Off    int64  `json:"offset"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	By     string `json:"by,omitempty"` // who refers to it
}

// Func is a function that the change replaces (Orig is set) or adds.
type Func struct {
	Name    string // in the patched object
	Old     string // the original's name in the kernel, "" for a new function
	Orig    *object.Atom
	Patched *object.Atom
	Reason  Reason
}

// Datum is a variable or named constant that comes along.
type Datum struct {
	Name    string
	Patched *object.Atom
	Reason  Reason
}

// Refusal is something about the change that cannot be done to a running
// kernel.
type Refusal struct {
	Rule   string `json:"rule"` // short name of the rule, stable
	Name   string `json:"name"` // function, datum or section
	What   string `json:"what"`
	Remedy string `json:"remedy"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
}

func (r Refusal) Error() string {
	at := ""
	if r.Line > 0 {
		at = fmt.Sprintf("%s:%d: ", r.File, r.Line)
	}
	return fmt.Sprintf("%s%s: %s (%s)", at, r.Name, r.What, r.Remedy)
}

// Result is what a comparison found.
type Result struct {
	Orig, Patched *object.Object

	Changed []Func // to be redirected
	New     []Func // come along
	Data    []Datum
	Removed []string // functions that are no longer there
	// Same counts the correlated functions that did not change.
	Same     int
	Refusals []Refusal
	Notes    []string
	// Warnings are what may go wrong at run time; a person must judge it.
	Warnings []string
	// Pinned says which new functions' addresses are handed out: if the kernel
	// keeps one, the module must stay loaded after a revert.
	Pinned []string
	// Hooks are what the patch asked for through the macros of hotpatch.h.
	Hooks Hooks

	// Include holds every atom of the patched object that comes along, in
	// object order, with a copy of what they refer to.
	Include []*object.Atom
	// Index holds entries of the printk index that come along.
	Index []*object.Atom

	pairs    *pairs
	included map[*object.Atom]bool
}

// Empty reports whether there is nothing to do.
func (r *Result) Empty() bool { return len(r.Include) == 0 }

// Original returns the atom of the original object that an atom of the patched
// one is paired with, or nil.
func (r *Result) Original(patched *object.Atom) *object.Atom { return r.pairs.orig[patched] }

// Included reports whether an atom of the patched object comes along.
func (r *Result) Included(a *object.Atom) bool { return r.included[a] }

// Wanted returns the names of what the included atoms use and other objects
// define.
func (r *Result) Wanted() []string {
	var list []string
	add := func(refs []object.Ref) {
		for _, ref := range refs {
			if s := ref.Target.Sym; ref.Target.Atom == nil && s != nil && s.Name != "" {
				list = append(list, s.Name)
			}
		}
	}
	for _, a := range r.Include {
		add(a.Refs)
		for _, e := range a.Entries {
			add(e.Refs)
		}
	}
	return list
}

// Offers returns the names of new functions and variables that other objects
// may use and that nothing here needs.
func (r *Result) Offers() []string {
	var list []string
	for _, a := range r.Patched.Atoms {
		if r.offered(a) && !r.included[a] {
			list = append(list, a.Name)
		}
	}
	return list
}

func (r *Result) offered(a *object.Atom) bool {
	return (a.Kind == object.Func || a.Kind == object.Data && mayBring(a.Section)) && a.Root() == a && a.Name != "" && !a.Local() && r.pairs.orig[a] == nil
}

// Compare compares two objects of one source file. Of what the patch adds,
// wanted names what comes along although nothing in this object needs it; see
// Wanted and Offers.
func Compare(orig, patched *object.Object, wanted ...string) (*Result, error) {
	if orig.File.Machine != patched.File.Machine || orig.Arch != patched.Arch {
		return nil, errors.New("the two objects are of different architectures")
	}
	c := &comparison{Result: &Result{Orig: orig, Patched: patched}, arch: orig.Arch}
	// Without debug information there are no source lines to show, and fewer
	// ways to tell numbered variables apart: less is told, nothing is guessed.
	c.origInfo, _ = debuginfo.Open(orig.File, orig.Arch)
	c.patchedInfo, _ = debuginfo.Open(patched.File, patched.Arch)
	if err := c.readHooks(); err != nil {
		return nil, err
	}
	c.findIndex()
	c.correlate()
	c.unpair()
	c.compareFunctions()
	c.lift()
	c.compareData()
	c.selectAtoms(wanted)
	c.judge()
	c.compareLayouts()
	c.sort()
	return c.Result, nil
}
