package diff

import (
	"fmt"
	"sort"
	"strings"
)

// compareLayouts warns of structs whose layout the change changes. Objects of
// the old layout live on in the running kernel, and code that is not replaced
// uses it; whether that matters only a person can tell, so it is no refusal.
// What is compared is debug information, which not every object has.
func (c *comparison) compareLayouts() {
	if c.origInfo == nil || c.patchedInfo == nil {
		return
	}
	before, after := c.origInfo.Layouts(), c.patchedInfo.Layouts()
	var names []string
	for n := range before {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		now := after[n]
		if now == nil {
			continue
		}
		what := before[n].Difference(now)
		if what == "" {
			continue
		}
		users := "no function here has one"
		if u := before[n].Users; len(u) > 0 {
			users = "used by " + strings.Join(u[:min(len(u), 8)], ", ")
			if len(u) > 8 {
				users += fmt.Sprintf(" and %d more", len(u)-8)
			}
		}
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s changes: %s (%s); objects that exist keep the old layout, and so does code that is not replaced: keep new state in a shadow variable (HOTPATCH_SHADOW)", n, what, users))
	}
}
