package yamlfile

import "testing"

func TestDecode(t *testing.T) {
	type inner struct {
		CPUs int `yaml:"cpus"`
	}
	type file struct {
		Summary string   `yaml:"summary"`
		Timeout string   `yaml:"timeout"`
		Machine inner    `yaml:"machine"`
		Steps   []inner  `yaml:"steps"`
		Tags    []string `yaml:"tags"`
	}
	tests := []struct{ name, text, want string }{
		{"good", "summary: a\nmachine:\n  cpus: 2\n", ""},
		{"unknown key", "summary: a\ntimout: 3s\n", `f.yaml:2:1: unknown key "timout" (did you mean "timeout"?)`},
		{"unknown key far from any", "summary: a\nxyzzy: 3s\n", `f.yaml:2:1: unknown key "xyzzy"`},
		{"unknown key below", "machine:\n  cpus: 2\n  cpu: 3\n", `f.yaml:3:3: unknown key "cpu" (did you mean "cpus"?)`},
		{"unknown key in a list", "steps:\n  - cpus: 2\n  - cpsu: 3\n", `f.yaml:3:5: unknown key "cpsu" (did you mean "cpus"?)`},
		{"wrong kind", "machine:\n  cpus: many\n", `f.yaml:2:9: cannot unmarshal string into Go struct field file.Machine of type int`},
		{"twice", "summary: a\nsummary: b\n", `f.yaml:2:1: mapping key "summary" already defined at [1:1]`},
		{"no YAML", "summary: [a\n", `f.yaml:1:10: sequence end token ']' not found`},
		{"empty", "", "f.yaml: the file is empty"},
		{"two documents", "summary: a\n---\nsummary: b\n", "f.yaml:2:1: a second document (the file holds one)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v file
			_, err := Decode("f.yaml", []byte(tt.text), &v)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAt(t *testing.T) {
	var v any
	f, err := Decode("f.yaml", []byte("a:\n  - b: 1\n  - b: 2\n    c: 3\n"), &v)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{"$.a[1].c", "f.yaml:4:8: m"},
		{"$.a[0].c", "f.yaml:2:6: m"}, // no such value: where it would be
		{"$.x", "f.yaml: m"},
	} {
		if got := f.At(tt.path, "m", "").Error(); got != tt.want {
			t.Errorf("At(%s) = %s, want %s", tt.path, got, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("summary: a\nsteps:\n  - b: 1\n")
	f.Fuzz(func(t *testing.T, s string) {
		var v struct {
			Summary string `yaml:"summary"`
		}
		if file, err := Decode("f", []byte(s), &v); err == nil {
			file.At("$.summary", "m", "")
		}
	})
}
