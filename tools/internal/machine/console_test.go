package machine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLogLines(t *testing.T) {
	var lines []string
	var l *Log
	l, err := NewLog("", func(s string) {
		lines = append(lines, s)
		l.Last(1) // must not block
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"one\r\ntw", "o\n", "\n", "\r\n", strings.Repeat("x", lineMax+3), "\nend"} {
		if n, err := l.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := l.Last(2); !slices.Equal(got, []string{"xxx", "end"}) {
		t.Errorf("the last lines: %q", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"one", "two", "", "", strings.Repeat("x", lineMax), "xxx", "end"}
	if !slices.Equal(lines, want) {
		t.Errorf("lines %q", lines)
	}
}

// A guest that floods its console: every line is seen, the file and what is
// held in memory stay bounded, and say what they lack.
func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	seen := 0
	l, err := NewLog(path, func(string) { seen++ })
	if err != nil {
		t.Fatal(err)
	}
	const head, tail = 80 << 10, 10 << 10
	l.maxHead, l.maxTail = head, tail
	r := rand.New(rand.NewPCG(1, 1))
	var all bytes.Buffer
	lines := 0
	for all.Len() < 5*(head+2*tail) {
		var piece bytes.Buffer
		for range r.IntN(400) {
			fmt.Fprintf(&piece, "[%d] flood %s\n", lines, strings.Repeat("x", r.IntN(90)))
			lines++
		}
		all.Write(piece.Bytes())
		l.Write(piece.Bytes())
		if len(l.tail) > 2*tail+piece.Len() || len(l.last) > lastLines {
			t.Fatalf("%d bytes and %d lines are held", len(l.tail), len(l.last))
		}
	}
	last := l.Last(1000)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if seen != lines {
		t.Errorf("%d lines were handed on of %d", seen, lines)
	}
	if len(last) != lastLines || !strings.HasPrefix(last[lastLines-1], fmt.Sprintf("[%d] ", lines-1)) {
		t.Errorf("%d last lines, the last of them %q", len(last), last[len(last)-1])
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	total, dropped := l.Bytes()
	if total != int64(all.Len()) {
		t.Errorf("%d bytes counted of %d", total, all.Len())
	}
	note := fmt.Sprintf("\n[%d bytes of the console are not kept]\n", dropped)
	if int64(len(got)) != total-dropped+int64(len(note)) || len(got) > head+2*tail+len(note) {
		t.Errorf("the file has %d bytes of %d, %d are dropped", len(got), total, dropped)
	}
	if !bytes.HasPrefix(got, all.Bytes()[:head]) || !bytes.Contains(got, []byte(note)) {
		t.Error("the file lacks the beginning, or the note")
	}
	if !bytes.HasSuffix(got, all.Bytes()[all.Len()-tail:]) {
		t.Error("the file lacks the end")
	}
}

func TestLogTellsOfAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	l, err := NewLog("/dev/full", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := l.Write([]byte("hello\n")); n != 6 || err != nil {
		t.Errorf("the guest was stopped: %d, %v", n, err)
	}
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Close: %v", err)
	}
}
