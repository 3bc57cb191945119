package measure

import (
	"math"
	"slices"

	"github.com/aclements/go-moremath/stats"
)

// Confidence is the level of every interval.
const Confidence = 0.95

// Interval estimates by how much b lies above a: the Hodges-Lehmann estimate,
// which is the median of all differences between a value of b and one of a,
// and its confidence interval. The interval holds exactly those shifts that
// the two-sided Mann-Whitney U test of the same level does not reject, so it
// covers zero if and only if that test finds no difference. It assumes nothing
// of the distributions but that they differ by a shift.
//
// With too few values for the level (3 of each, or fewer) the interval is the
// whole line.
//
// Source: M. Hollander, D. A. Wolfe, Nonparametric Statistical Methods, ch. 4.
func Interval(a, b []float64) (shift, lo, hi float64) {
	if len(a) == 0 || len(b) == 0 {
		return math.NaN(), math.Inf(-1), math.Inf(1)
	}
	diffs := make([]float64, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			diffs = append(diffs, y-x)
		}
	}
	slices.Sort(diffs)
	n := len(diffs)
	shift = (diffs[(n-1)/2] + diffs[n/2]) / 2
	c := critical(len(a), len(b))
	if c == 0 {
		return shift, math.Inf(-1), math.Inf(1)
	}
	return shift, diffs[c-1], diffs[n-c]
}

// critical returns the number of values of U, from 0 up, that together are no
// more likely than half of what Confidence leaves.
func critical(n1, n2 int) int {
	const tail = (1 - Confidence) / 2
	if n1 > exactLimit || n2 > exactLimit {
		mean := float64(n1*n2) / 2
		sd := math.Sqrt(float64(n1*n2*(n1+n2+1)) / 12)
		const z = 1.959964 // the normal distribution's 97.5 % quantile
		return max(int(math.Floor(mean-z*sd-0.5))+1, 0)
	}
	u := stats.UDist{N1: n1, N2: n2}
	c := 0
	for c <= n1*n2/2 && u.CDF(float64(c)) <= tail {
		c++
	}
	return c
}

// exactLimit is up to which size of a sample the distribution of U is computed
// exactly; above it the normal distribution is as good.
const exactLimit = 25
