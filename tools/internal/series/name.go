package series

import (
	"fmt"
	"strings"
)

// maxName is the length git format-patch cuts the stem of a file name to, so
// that with ".patch" it has at most 63 bytes.
const maxName = 57

// FileName returns the canonical name of a patch: that of git format-patch, in
// the directory of its topic.
func FileName(topic string, number int, subject string) string {
	stem := fmt.Sprintf("%04d-%s", number, slug(subject))
	if len(stem) > maxName {
		stem = stem[:maxName]
	}
	return topic + "/" + stem + ".patch"
}

// slug is git's format_sanitized_subject: letters, digits, '.' and '_' stay, a
// run of anything else becomes one '-', and neither '.' nor '-' ends it.
func slug(subject string) string {
	var b strings.Builder
	gap := false
	for i := 0; i < len(subject); i++ {
		c := subject[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_':
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteByte(c)
			for c == '.' && i+1 < len(subject) && subject[i+1] == '.' {
				i++
			}
		default:
			gap = true
		}
	}
	return strings.TrimRight(b.String(), ".-")
}
