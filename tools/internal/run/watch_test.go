package run

import (
	"fmt"
	"strings"
	"testing"
)

func TestEnds(t *testing.T) {
	e := &ends{max: 10}
	for i := range 1000 {
		fmt.Fprintf(e, "%03d ", i)
	}
	got := e.String()
	if !strings.HasPrefix(got, "000 001 00\n[…]\n") || !strings.HasSuffix(got, "998 999 ") || len(got) > 60 {
		t.Errorf("kept %q", got)
	}
	whole := &ends{max: 10}
	fmt.Fprint(whole, "short text, whole")
	if whole.String() != "short text, whole" {
		t.Errorf("kept %q", whole.String())
	}
}

func TestLines(t *testing.T) {
	var got []string
	l := &lines{to: func(s string) { got = append(got, s) }}
	for _, s := range []string{"one\ntw", "o\n", "three\nfour\nfi", strings.Repeat("x", 100_000), "\nend\n"} {
		fmt.Fprint(l, s)
	}
	want := []string{"one", "two", "four", "end"}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("got %.40q, want %q", got, want)
	}
	if len(l.rest) > 4096 {
		t.Errorf("%d bytes of an endless line are kept", len(l.rest))
	}
}
