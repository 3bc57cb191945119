package result

// Kind says what an Event tells of.
type Kind string

// The events of a run. Every case that is Started is Finished, in this order;
// Output lies between the two.
const (
	Planned  Kind = "planned"  // once, first: Total cases will run
	Started  Kind = "started"  // the case's work begins
	Output   Kind = "output"   // Line came from the guest
	Finished Kind = "finished" // Case is judged
	Note     Kind = "note"     // Line says something about the whole run (the accelerator, a kernel being built)
)

// Event is one step of a run, told while it runs.
type Event struct {
	Kind  Kind
	Case  *Case  // started, output: Name, Arch, Profile are set; finished: everything is
	Line  string // output, note: without its newline, control characters removed
	Total int    // planned: how many cases there will be, repetitions counted
}

// Sink is told of a run's events, from several goroutines at once; it must
// return soon. Close is called once, after the last event.
type Sink interface {
	Event(Event)
	Close(*Run) error
}
