package base

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"

	"cloudkernel/tools/internal/diag"
)

// Pin is the content of the file kernel-patches/base.
type Pin struct {
	Version string   // point release, such as 6.12.117
	Sources []Origin // where it can be had, in order of preference
}

// Origin is one place to get the base from. Exactly one of File, Package and
// URL is set.
type Origin struct {
	Name    string // how --base names it
	File    string // a tarball on this machine
	Package string // a Debian package that holds the tarball in /usr/src
	Release string // version of the package
	URL     string // a tarball to download
	SHA256  string // of the tarball, lower-case hex; "" when nobody has confirmed one
}

var (
	digestRE  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	versionRE = regexp.MustCompile(`^[0-9]+\.[0-9]+(\.[0-9]+)?$`)
	nameRE    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
)

// ReadPin reads a pin file. Its errors are a diag.List.
func ReadPin(path string) (*Pin, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the pinned base: %w", err)
	}
	return parsePin(path, data)
}

// parsePin reads "key value" lines. "version" stands at the top, "source NAME"
// opens a source, and the indented lines below it describe that source. '#'
// starts a comment.
func parsePin(path string, data []byte) (*Pin, error) {
	var (
		pin   Pin
		list  diag.List
		lines []int // line of each source
	)
	sc := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; sc.Scan(); n++ {
		raw, _, _ := strings.Cut(sc.Text(), "#")
		line := strings.TrimRight(raw, " \t\r")
		if strings.TrimSpace(line) == "" {
			continue
		}
		indented := line[0] == ' ' || line[0] == '\t'
		fields := strings.Fields(line)
		if len(fields) != 2 {
			list.Addf(path, n, "want a key and one value, have %q", strings.TrimSpace(line))
			continue
		}
		key, value := fields[0], fields[1]
		switch {
		case !indented && key == "version":
			if pin.Version != "" {
				list.Addf(path, n, "the version is given twice")
			}
			if !versionRE.MatchString(value) {
				list.Addf(path, n, "%q is no kernel release like 6.12.117", value)
			}
			pin.Version = value
		case !indented && key == "source":
			if !nameRE.MatchString(value) {
				list.Addf(path, n, "bad source name %q", value)
			}
			if pin.source(value) != nil {
				list.Addf(path, n, "source %s is described twice", value)
			}
			pin.Sources = append(pin.Sources, Origin{Name: value})
			lines = append(lines, n)
		case indented && len(pin.Sources) > 0:
			if msg := pin.Sources[len(pin.Sources)-1].set(key, value); msg != "" {
				list.Addf(path, n, "%s", msg)
			}
		default:
			list.Addf(path, n, "unknown key %q: want version, or source with indented lines below it", key)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if pin.Version == "" {
		list.Addf(path, 0, "no version is pinned")
	}
	if len(pin.Sources) == 0 {
		list.Addf(path, 0, "no source is named")
	}
	for i, o := range pin.Sources {
		if msg := o.fault(); msg != "" {
			list.Addf(path, lines[i], "source %s: %s", o.Name, msg)
		}
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	return &pin, nil
}

// set gives o a value and returns what is wrong with it.
func (o *Origin) set(key, value string) string {
	var field *string
	switch key {
	case "file":
		field = &o.File
	case "package":
		field = &o.Package
	case "version":
		field = &o.Release
	case "url":
		field = &o.URL
	case "sha256":
		if !digestRE.MatchString(value) {
			return fmt.Sprintf("%q is no sha256: want 64 lower-case hexadecimal digits", value)
		}
		field = &o.SHA256
	default:
		return fmt.Sprintf("unknown key %q: want file, package, version, url or sha256", key)
	}
	if *field != "" {
		return fmt.Sprintf("%s is given twice", key)
	}
	*field = value
	return ""
}

func (o *Origin) fault() string {
	kinds := 0
	for _, v := range []string{o.File, o.Package, o.URL} {
		if v != "" {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return "want exactly one of file, package and url"
	case (o.Package != "") != (o.Release != ""):
		return "a package and its version go together"
	case o.Package != "" && !nameRE.MatchString(o.Package):
		return fmt.Sprintf("bad package name %q", o.Package)
	case o.URL != "" && !strings.HasPrefix(o.URL, "https://") && !strings.HasPrefix(o.URL, "http://"):
		return fmt.Sprintf("bad url %q: want https:// or http://", o.URL)
	case o.SHA256 == "" && o.URL == "":
		return "a sha256 is needed"
	}
	return ""
}

func (p *Pin) source(name string) *Origin {
	for i := range p.Sources {
		if p.Sources[i].Name == name {
			return &p.Sources[i]
		}
	}
	return nil
}

// line returns the longterm line of a point release: 6.12 of 6.12.117.
func line(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return version
	}
	return parts[0] + "." + parts[1]
}
