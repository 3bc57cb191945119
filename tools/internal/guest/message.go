package guest

import "time"

// Protocol is the version of the wire; agent and host are built from one tree,
// so a mismatch means a stale initramfs.
const Protocol = 1

// Types of messages; see the package's documentation.
const (
	TypeHello     = "hello"
	TypeHeartbeat = "heartbeat"
	TypeConfigure = "configure"
	TypePoweroff  = "poweroff"
	TypeRun       = "run"
	TypePut       = "put"
	TypeGet       = "get"
	TypeMount     = "mount"
	TypeRoot      = "root"
	TypeStarted   = "started"
	TypeSignal    = "signal"
	TypeResize    = "resize"
	TypeCancel    = "cancel"
	TypeWindow    = "window"
	TypeExit      = "exit"
)

// Message is what a control frame holds. Type says which of the others is set.
type Message struct {
	Type string `json:"type"`

	// Time is the guest's CLOCK_BOOTTIME in ns, in every message of the agent.
	Time time.Duration `json:"time,omitempty"`

	Hello     *Hello     `json:"hello,omitempty"`
	Configure *Configure `json:"configure,omitempty"`
	Run       *Command   `json:"run,omitempty"`
	File      *File      `json:"file,omitempty"`
	Mount     *Mount     `json:"mount,omitempty"`
	Root      *Root      `json:"root,omitempty"`
	Exit      *Exit      `json:"exit,omitempty"`
	Size      *Size      `json:"size,omitempty"`

	PID    int   `json:"pid,omitempty"`    // started
	Signal int   `json:"signal,omitempty"` // signal: number
	Stream uint8 `json:"stream,omitempty"` // window
	Bytes  int   `json:"bytes,omitempty"`  // window
}

// Hello is the first thing a guest says.
type Hello struct {
	Protocol int    `json:"protocol"`
	Release  string `json:"release"` // of the kernel, as uname -r has it
	Machine  string `json:"machine"` // as uname -m has it
	CPUs     int    `json:"cpus"`    // online
	Memory   uint64 `json:"memory"`  // bytes

	// Boot is the guest's CLOCK_BOOTTIME when it said hello.
	Boot time.Duration `json:"boot"`
}

// Configure sets how the agent behaves from now on.
type Configure struct {
	// Heartbeat is the time between two heartbeats; 0 sends none.
	Heartbeat time.Duration `json:"heartbeat"`
}

// Command is what to run.
type Command struct {
	Argv []string `json:"argv"`
	// Env is added to the agent's own environment (PATH, HOME, USER),
	// "NAME=value" each; a later one wins.
	Env      []string `json:"env,omitempty"`
	Dir      string   `json:"dir,omitempty"` // default: HOME
	UID, GID uint32   `json:",omitempty"`
	// TTY gives the command a terminal: stdin and stdout are its two
	// directions, stderr is not used.
	TTY  bool  `json:"tty,omitempty"`
	Size *Size `json:"size,omitempty"` // of the terminal
}

// Size is a terminal's, in characters.
type Size struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// File is a file to put or get.
type File struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode,omitempty"` // permission bits, put only
}

// Mount is a call of mount(2); the target is made if it is not there.
type Mount struct {
	Source string `json:"source"`
	Target string `json:"target"`
	Type   string `json:"fstype"`
	Flags  uint64 `json:"flags,omitempty"` // MS_*
	Data   string `json:"data,omitempty"`
}

// Root asks for the root file system on the virtio disk with this serial
// number to be laid over the initramfs, with a tmpfs above both for what is
// written, and for everything started later to see it as /.
type Root struct {
	Serial string `json:"serial"`
	Type   string `json:"fstype"`
}

// Exit says how a session ended. Error is set when it could not be done at
// all; otherwise a command ended with Code, or by Signal when that is not 0.
type Exit struct {
	Code   int    `json:"code"`
	Signal int    `json:"signal,omitempty"`
	Error  string `json:"error,omitempty"`
}
