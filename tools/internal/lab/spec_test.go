package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseShare(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		text string
		want Share
		err  string
	}{
		{"/src", Share{Dir: "/src", Path: "/mnt/src"}, ""},
		{"/src/", Share{Dir: "/src", Path: "/mnt/src"}, ""},
		{"/src:ro", Share{Dir: "/src", Path: "/mnt/src", ReadOnly: true}, ""},
		{"/src:/opt/x", Share{Dir: "/src", Path: "/opt/x"}, ""},
		{"/src:/opt/x:ro", Share{Dir: "/src", Path: "/opt/x", ReadOnly: true}, ""},
		{".", Share{Dir: here, Path: "/mnt/" + filepath.Base(here)}, ""},
		{"/", Share{Dir: "/", Path: "/mnt/host"}, ""},
		{"", Share{}, "names no directory"},
		{":/x", Share{}, "names no directory"},
		{"/src:x", Share{}, "must be absolute"},
	}
	for _, tt := range tests {
		got, err := ParseShare(tt.text)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: %v, want an error with %q", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%q: %+v, %v; want %+v", tt.text, got, err, tt.want)
		}
	}
}

func TestQuote(t *testing.T) {
	got := strings.Join(quote([]string{"-m", "1024M", "a b", "it's", "", "x=1,y"}), " ")
	if want := `-m 1024M 'a b' 'it'\''s' '' x=1,y`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
