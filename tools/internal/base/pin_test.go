package base

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudkernel/tools/internal/diag"
)

const goodPin = `# what it is
version 6.12.117 # a comment

source installed
	file /usr/src/linux-source-6.12.tar.xz
	sha256 ` + digestA + `

source debian
	package linux-source-6.12
	version 6.12.117-1~deb12u1
	sha256 ` + digestA + `

source kernel.org
	url https://example.org/linux-6.12.117.tar.xz
`

const digestA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestParsePin(t *testing.T) {
	pin, err := parsePin("base", []byte(goodPin))
	if err != nil {
		t.Fatal(err)
	}
	want := &Pin{Version: "6.12.117", Sources: []Origin{
		{Name: "installed", File: "/usr/src/linux-source-6.12.tar.xz", SHA256: digestA},
		{Name: "debian", Package: "linux-source-6.12", Release: "6.12.117-1~deb12u1", SHA256: digestA},
		{Name: "kernel.org", URL: "https://example.org/linux-6.12.117.tar.xz"},
	}}
	if diff := cmp.Diff(want, pin); diff != "" {
		t.Error(diff)
	}
}

// TestParsePinFaults changes one thing of a good pin, and wants one finding.
func TestParsePinFaults(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"version 6.12.117 #", "version six #", `base:2: "six" is no kernel release like 6.12.117`},
		{"version 6.12.117 # a comment\n", "", "base: no version is pinned"},
		{"version 6.12.117 #", "version 6.12.117\nversion 6.12.118 #", "base:3: the version is given twice"},
		{"sha256 " + digestA, "sha256 " + digestA[1:], "base:6: \"" + digestA[1:] + "\" is no sha256: want 64 lower-case hexadecimal digits"},
		{"\tsha256 " + digestA + "\n", "", "base:4: source installed: a sha256 is needed"},
		{"\tfile", "\tpath", "base:5: unknown key \"path\": want file, package, version, url or sha256"},
		{"source debian", "source installed", "base:8: source installed is described twice"},
		{"\tversion 6.12.117-1~deb12u1\n", "", "base:8: source debian: a package and its version go together"},
		{"https://", "ftp://", "base:13: source kernel.org: bad url \"ftp://example.org/linux-6.12.117.tar.xz\": want https:// or http://"},
		{"\turl", "\tfile /x\n\turl", "base:13: source kernel.org: want exactly one of file, package and url"},
		{"source kernel.org", "source kernel org", "base:13: want a key and one value, have \"source kernel org\""},
		{"\nsource installed", "\nmirror x\nsource installed", "base:4: unknown key \"mirror\": want version, or source with indented lines below it"},
		{"\tpackage linux-source-6.12", "\tpackage -o", "base:8: source debian: bad package name \"-o\""},
	} {
		_, err := parsePin("base", []byte(strings.Replace(goodPin, c.old, c.new, 1)))
		var list diag.List
		if !errors.As(err, &list) {
			t.Errorf("%q for %q: error %v", c.new, c.old, err)
			continue
		}
		if list[0].Error() != c.want {
			t.Errorf("%q for %q:\n got %s\nwant %s", c.new, c.old, list[0].Error(), c.want)
		}
	}
}

// TestOwnPin reads the pin of this repository.
func TestOwnPin(t *testing.T) {
	pin, err := ReadPin("../../../kernel-patches/base")
	if err != nil {
		t.Fatal(err)
	}
	if line(pin.Version) != "6.12" {
		t.Errorf("the pinned release is %s", pin.Version)
	}
}

func FuzzPin(f *testing.F) {
	f.Add([]byte(goodPin))
	f.Fuzz(func(t *testing.T, data []byte) {
		pin, err := parsePin("base", data)
		if err != nil {
			return
		}
		if !versionRE.MatchString(pin.Version) {
			t.Errorf("version %q", pin.Version)
		}
		for _, o := range pin.Sources {
			if o.fault() != "" || (o.SHA256 != "" && len(o.SHA256) != 64) {
				t.Errorf("source %+v", o)
			}
		}
	})
}
