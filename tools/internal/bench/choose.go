package bench

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"cloudkernel/tools/internal/cases"
)

// long is the tag of benchmarks that take many minutes.
const long = "long"

// Choose returns the benchmarks that patterns name: a topic, a benchmark
// ("smoke/syscall"), a glob over either, or a tag with a "+" before it. No
// pattern names them all. Those tagged "long" are chosen only if all is set, or
// if a pattern is the whole name or "+long". A pattern that names none is an
// error that says what there is.
func Choose(list []*Benchmark, patterns []string, all bool) ([]*Benchmark, error) {
	if len(patterns) == 0 {
		return slices.DeleteFunc(slices.Clone(list), func(b *Benchmark) bool { return !all && b.tagged(long) }), nil
	}
	chosen := map[*Benchmark]bool{}
	for _, p := range patterns {
		n := 0
		for _, b := range list {
			ok, err := b.matches(p)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			n++
			if all || !b.tagged(long) || p == b.Name || p == "+"+long {
				chosen[b] = true
			}
		}
		if n == 0 {
			var names []string
			for _, b := range list {
				names = append(names, b.Name)
			}
			return nil, fmt.Errorf("no benchmark, topic or tag matches %q; there are %s", p, strings.Join(names, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(b *Benchmark) bool { return !chosen[b] }), nil
}

func (b *Benchmark) tagged(tag string) bool { return slices.Contains(b.Tags, cases.Word(tag)) }

func (b *Benchmark) matches(pattern string) (bool, error) {
	if tag, ok := strings.CutPrefix(pattern, "+"); ok {
		return b.tagged(tag), nil
	}
	name := b.Name
	if !strings.Contains(pattern, "/") {
		name = b.Topic
	}
	ok, err := path.Match(pattern, name)
	if err != nil {
		return false, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return ok, nil
}
