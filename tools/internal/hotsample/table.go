package hotsample

import (
	"fmt"
	"io"
	"strings"
)

// Counts sums a sample up.
type Counts struct {
	Items     int             `json:"changes"`
	Outcomes  map[Outcome]int `json:"outcomes"`
	Patchable int             `json:"patchable"`
	Loaded    int             `json:"loaded"`
}

// Count counts outcomes.
func Count(items []*Item) Counts {
	c := Counts{Items: len(items), Outcomes: map[Outcome]int{}}
	for _, i := range items {
		c.Outcomes[i.Outcome]++
		if i.Patchable() {
			c.Patchable++
		}
		if i.Outcome == Loaded {
			c.Loaded++
		}
	}
	return c
}

// Markdown writes the table of a sample.
func Markdown(w io.Writer, title string, items []*Item) error {
	var b strings.Builder
	c := Count(items)
	fmt.Fprintf(&b, "# %s\n\n", title)
	fmt.Fprintf(&b, "%d changed files: ", c.Items)
	sep := ""
	for _, o := range []Outcome{Loaded, Built, Failed, Refused, Alone, Nothing, Broken} {
		if n := c.Outcomes[o]; n > 0 {
			fmt.Fprintf(&b, "%s%d %s", sep, n, o)
			sep = ", "
		}
	}
	share := 0.0
	if c.Patchable > 0 {
		share = 100 * float64(c.Loaded) / float64(c.Patchable)
	}
	fmt.Fprintf(&b, ". Of the %d that change code, and function bodies only, %d (%.0f %%) were built, applied, reverted and unloaded.\n\n", c.Patchable, c.Loaded, share)
	fmt.Fprintf(&b, "| file | lines | | functions | why |\n|---|---|---|---|---|\n")
	for _, i := range items {
		functions := ""
		if i.Functions > 0 {
			functions = fmt.Sprint(i.Functions)
		}
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s |\n", i.File, i.Lines, i.Outcome, functions, strings.ReplaceAll(i.Why, "|", "\\|"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
