package rollout

import (
	"math"
	"slices"
)

// alternatives is how many ratios a guard's evidence is averaged over.
const alternatives = 16

// alternative is the k-th of them as a multiple of the tolerated ratio:
// log-spaced from 1.3 to 100. None is 1 or less: below the null a likelihood
// ratio is no supermartingale, and the bound on false rollbacks is lost.
func alternative(k int) float64 {
	const lowest, highest = 1.3, 100
	return lowest * math.Pow(highest/lowest, float64(k)/(alternatives-1))
}

// cell counts the bad events (or units with one) that were assigned to the
// canary with the same probability w.
type cell struct {
	w              float64
	canary, stable float64
}

// lnWorse is the logarithm of the evidence that bad events come from the canary
// more often than a ratio of the rates of at most r0 explains. With p(r) =
// r·w/(r·w+1−w), an event's factor is p(r)/p(r0) where it was the canary's and
// (1−p(r))/(1−p(r0)) where it was stable's.
func lnWorse(cells []cell, r0 float64) float64 {
	if !slices.ContainsFunc(cells, func(c cell) bool { return c.canary+c.stable > 0 }) {
		return 0
	}
	var l [alternatives]float64
	for k := range l {
		for _, c := range cells {
			l[k] += lnRatio(c, r0, r0*alternative(k))
		}
	}
	return lnMean(l[:])
}

// lnRatio is the logarithm of the likelihood ratio of the ratio r against r0.
func lnRatio(c cell, r0, r float64) float64 {
	return c.canary*math.Log(r/r0) - (c.canary+c.stable)*math.Log((r*c.w+1-c.w)/(r0*c.w+1-c.w))
}

// lnNotWorse is the logarithm of the evidence that the ratio of the rates is
// below r, with the single alternative 1: the swapped test.
func lnNotWorse(cells []cell, r float64) float64 {
	l := 0.0
	for _, c := range cells {
		l += lnRatio(c, r, 1)
	}
	return l
}

// zeroWeight is the part of lnBelow's prior that a canary without any bad event
// gets: most, as that is whom it is for.
const zeroWeight = 0.7

// lnBelow is the logarithm of the evidence that the rate of bad events is below
// q after bad ones among n. The alternatives are 0, q/10, q/4 and q/2; that of 0
// alone would never forget its first bad event.
func lnBelow(n, bad, q float64) float64 {
	if bad > n {
		bad = n
	}
	const rest = (1 - zeroWeight) / 3
	l := []float64{math.Inf(-1), 0, 0, 0}
	if bad == 0 {
		l[0] = math.Log(zeroWeight) - n*math.Log1p(-q)
	}
	for i, part := range [...]float64{10, 4, 2} {
		p := q / part
		l[i+1] = math.Log(rest) + bad*math.Log(p/q) + (n-bad)*(math.Log1p(-p)-math.Log1p(-q))
	}
	return lnSum(l)
}

// lnAbove is the logarithm of the evidence that a rate is above q after bad ones
// among n. The alternatives have odds that are multiples of q's.
func lnAbove(n, bad, q float64) float64 {
	var l [alternatives]float64
	for k := range l {
		a := alternative(k)
		// p = a·q/(1−q+a·q), so that p/q = a/(1−q+a·q) and so on.
		l[k] = bad*math.Log(a) - n*math.Log1p((a-1)*q)
	}
	return lnMean(l[:])
}

// mismatchPrior is how many assignments the prior of lnMismatch is worth.
const mismatchPrior = 100

// lnMismatch is the logarithm of the evidence that the canary's share of the
// assignments is not w: a beta-binomial mixture around w (Lindon and Malek).
func lnMismatch(w, canary, stable float64) float64 {
	if w <= 0 || w >= 1 {
		return 0
	}
	a, b := mismatchPrior*w, mismatchPrior*(1-w)
	return lnBeta(a+canary, b+stable) - lnBeta(a, b) - canary*math.Log(w) - stable*math.Log1p(-w)
}

func lnBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// lnSum is the logarithm of the sum of numbers whose logarithms are given.
func lnSum(l []float64) float64 {
	top := math.Inf(-1)
	for _, x := range l {
		top = max(top, x)
	}
	if math.IsInf(top, 0) {
		return top
	}
	sum := 0.0
	for _, x := range l {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum)
}

func lnMean(l []float64) float64 { return lnSum(l) - math.Log(float64(len(l))) }
