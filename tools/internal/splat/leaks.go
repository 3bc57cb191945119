package splat

import "strings"

// Leaks reads the contents of /sys/kernel/debug/kmemleak:
//
//	unreferenced object 0xffff000003a1f800 (size 512):
//	  comm "insmod", pid 97, jiffies 4294894110
//	  hex dump (first 32 bytes):
//	    …
//	  backtrace (crc 0):
//	    kmemleak_alloc+0x3c/0x50
//	    …
func Leaks(report string) []Splat {
	var list []Splat
	n := 0
	var frames []frame
	end := func() {
		if len(list) == 0 {
			return
		}
		s := &list[len(list)-1]
		s.Title = "kmemleak: unreferenced object"
		if f := blame(frames); f != "" {
			s.Title += " allocated in " + f
		}
		frames = nil
	}
	for line := range strings.Lines(report) {
		n++
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "unreferenced object ") {
			end()
			if len(list) == maxSplats {
				return list
			}
			list = append(list, Splat{Kind: Kmemleak, Line: n})
		}
		if len(list) == 0 {
			continue
		}
		// Up to 6.11 a frame had its address before it.
		text := line
		if i := strings.Index(text, "] "); strings.HasPrefix(strings.TrimSpace(text), "[<") && i > 0 {
			text = text[i+2:]
		}
		if f, ok := parseFrame(text); ok {
			frames = append(frames, f)
		}
		s := &list[len(list)-1]
		if len(s.Text) < maxText {
			s.Text = append(s.Text, line)
		}
	}
	end()
	return list
}
