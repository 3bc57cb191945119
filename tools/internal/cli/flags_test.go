package cli

import "testing"

func TestMemoryValue(t *testing.T) {
	for in, want := range map[string]int{"512M": 512, "2G": 2048, "300": 300} {
		var mib int
		if err := (memoryValue{&mib}).Set(in); err != nil || mib != want {
			t.Errorf("Set(%q) = %v, and %d MiB, want %d", in, err, mib, want)
		}
	}
	for _, in := range []string{"", "2g", "-1", "1.5G", "12345678901M", "M"} {
		mib := 7
		if err := (memoryValue{&mib}).Set(in); err == nil || mib != 7 {
			t.Errorf("Set(%q) = %v, and %d MiB, want an error and nothing changed", in, err, mib)
		}
	}
}
