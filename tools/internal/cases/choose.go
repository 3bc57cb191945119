package cases

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Choose returns the cases that patterns name: a topic ("smoke"), a case
// ("smoke/boot"), a glob over either ("smoke/*", "v*"), or a tag with a "+"
// before it ("+quick"). No pattern names them all. A pattern that names none
// is an error that says what there is.
//
// Cases with the tag "long" take many minutes. They are chosen only if long is
// set, or if a pattern is the case's whole name or "+long".
func Choose(all []*Case, patterns []string, long bool) ([]*Case, error) {
	if len(patterns) == 0 {
		return slices.DeleteFunc(slices.Clone(all), func(c *Case) bool { return !long && c.long() }), nil
	}
	chosen := map[*Case]bool{}
	for _, p := range patterns {
		n := 0
		for _, c := range all {
			ok, err := c.matches(p)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			n++
			if long || !c.long() || p == c.Name || p == "+"+longTag {
				chosen[c] = true
			}
		}
		if n == 0 {
			return nil, fmt.Errorf("no case, topic or tag matches %q; there are %s", p, strings.Join(names(all), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(c *Case) bool { return !chosen[c] }), nil
}

const longTag = "long"

func (c *Case) long() bool { return slices.Contains(c.Tags, Word(longTag)) }

func (c *Case) matches(pattern string) (bool, error) {
	if tag, ok := strings.CutPrefix(pattern, "+"); ok {
		return slices.Contains(c.Tags, Word(tag)), nil
	}
	pattern = strings.TrimSuffix(pattern, "/")
	name := c.Name
	if !strings.Contains(pattern, "/") {
		name = c.Topic
	}
	ok, err := path.Match(pattern, name)
	if err != nil {
		return false, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return ok, nil
}

// names lists topics and tags, which is what a person who mistyped looks for.
func names(all []*Case) []string {
	var list []string
	for _, c := range all {
		list = append(list, c.Name)
		for _, t := range c.Tags {
			list = append(list, "+"+string(t))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Shard is one of several parts that a run is divided into. The zero value is
// the whole.
type Shard struct{ Index, Count int } // Index from 1

// ParseShard reads "2/4".
func ParseShard(s string) (Shard, error) {
	if s == "" {
		return Shard{}, nil
	}
	i, n, ok := strings.Cut(s, "/")
	index, err1 := strconv.Atoi(i)
	count, err2 := strconv.Atoi(n)
	if !ok || err1 != nil || err2 != nil || index < 1 || index > count {
		return Shard{}, fmt.Errorf("shard %q: write i/n, such as 1/4, with i from 1 to n", s)
	}
	return Shard{index, count}, nil
}

// Has reports whether the shard holds item i of a list. Items are dealt out in
// turn, so that shards are of one size.
func (s Shard) Has(i int) bool {
	return s.Count <= 1 || i%s.Count == s.Index-1
}
