package ktap

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// stampRE is what printk puts before a message on the console: an optional
// level, the time since boot in seconds, and with CONFIG_PRINTK_CALLER the
// thread or CPU.
var stampRE = regexp.MustCompile(`(?:<\d+>)?\[ *(\d{1,9})\.(\d{6})\](?:\[ *[TC]\d+\])? ?`)

// escapeRE is a terminal's control sequence, which programs write between.
var escapeRE = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// piece is one logical line, and when it was printed.
type piece struct {
	text string
	at   time.Duration // guest time; negative if the line had no stamp
}

// splitter separates the kernel's messages from the lines of a program that
// shares the console with it.
//
// A message is written whole; a program's line is not. So where a stamp stands
// in the middle of a line, the part before it is the head of a program's line
// whose tail comes as the next line without a stamp:
//
//	ok 3 cre[   12.345678] random: crng init done
//	ate_socket
type splitter struct {
	head string
	held bool
}

// line returns the logical lines that raw completes, in the order in which
// they are to be read.
func (s *splitter) line(raw string) []piece {
	raw = strings.TrimRight(raw, "\r\n")
	if strings.IndexByte(raw, 0x1b) >= 0 {
		raw = escapeRE.ReplaceAllString(raw, "")
	}
	// A carriage return within a line: what a terminal would show last.
	if i := strings.LastIndexByte(raw, '\r'); i >= 0 {
		raw = raw[i+1:]
	}
	at := stampRE.FindStringSubmatchIndex(raw)
	switch {
	case at == nil:
		return s.unstamped(raw)
	case strings.TrimSpace(raw[:at[0]]) == "":
		return []piece{stamped(raw, at)}
	}
	message := stamped(raw, at)
	s.head += raw[:at[0]]
	s.held = true
	return []piece{message}
}

func stamped(raw string, at []int) piece {
	sec, _ := strconv.ParseInt(raw[at[2]:at[3]], 10, 64)
	usec, _ := strconv.ParseInt(raw[at[4]:at[5]], 10, 64)
	return piece{raw[at[1]:], time.Duration(sec)*time.Second + time.Duration(usec)*time.Microsecond}
}

func (s *splitter) unstamped(raw string) []piece {
	if !s.held {
		return []piece{{raw, -1}}
	}
	head := s.head
	s.head, s.held = "", false
	whole := head + raw
	if parseLine(raw).kind != isOther && (parseLine(head).kind != isOther || parseLine(whole).kind == isOther) {
		// raw stands for itself: head lost nothing but its newline.
		return []piece{{head, -1}, {raw, -1}}
	}
	return []piece{{whole, -1}}
}

// end returns what is still held back.
func (s *splitter) end() []piece {
	if !s.held {
		return nil
	}
	s.held = false
	return []piece{{s.head, -1}}
}
