// Package guest is the wire between the host and the agent that is PID 1 in a
// guest, and the host's end of it. The agent's end is package agent.
//
// # Model
//
// There is one byte channel between the two, a virtio-serial port named
// PortName. Over it go frames; every frame belongs to a session and, within
// the session, to a stream. A session is one thing the host asks for: a command
// to run, a file to write or to read, something to mount. Sessions are
// independent: a command whose output nobody reads does not hold up the others,
// nor the heartbeat, because each data stream has a window of its own.
//
// # Frames
//
//	offset  size  field
//	0       4     n, length of the payload in bytes, big-endian, at most MaxPayload
//	4       4     session, big-endian; 0 is the connection itself
//	8       1     stream: 0 control, 1 stdin, 2 stdout, 3 stderr
//	9       n     payload
//
// A frame of stream 0 holds one JSON object, a Message. A frame of another
// stream holds bytes of that stream; an empty one ends the stream. Everything
// else is an error of the protocol, which ends the connection: there is no
// resynchronizing, the channel is reliable.
//
// # Windows
//
// The sender of a data stream may have Window bytes on the way that the
// receiver has not consumed. The receiver hands back what it consumed with a
// "window" message of the session (stream, bytes). Neither end ever blocks its
// reading on a consumer, so the two can always make progress.
//
// # Messages
//
//	agent → host, session 0
//	  hello      once, first of all: who the guest is
//	  heartbeat  every interval that configure set (none before)
//	host → agent, session 0
//	  configure  heartbeat interval
//	  poweroff   sync and switch off; the channel ends with the machine
//	host → agent, opens a session
//	  run        start a command; stdin, stdout and stderr follow as streams
//	  put        write a file from stdin
//	  get        read a file to stdout
//	  mount      mount a file system
//	  root       make a disk the root that everything after sees
//	in a session
//	  started    agent: the command runs, as this process
//	  signal     host: send this signal to the command's processes
//	  resize     host: the terminal's size changed
//	  cancel     host: give the file up, its source or its taker is gone
//	  window     either: bytes consumed
//	  exit       agent, last of all: how it ended
//
// Session numbers are the host's to give and are not used again. Times are
// nanoseconds of the guest's CLOCK_BOOTTIME.
package guest
