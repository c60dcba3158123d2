package drift

import "math"

// Distances are how far two distributions over the same bins are apart. They are
// shown and never alarm.
type Distances struct {
	// PSI is the population stability index Σ (q−p)·ln(q/p), Jeffreys' divergence
	// (1946). A share of 0 counts as 0.0001, as in Evidently.
	PSI float64 `json:"psi"`
	// JensenShannon is the distance of Endres and Schindelin (2003), the root of
	// the divergence in bits: from 0 to 1.
	JensenShannon float64 `json:"jensen_shannon"`
	// LInfinity is the largest difference of two shares.
	LInfinity float64 `json:"l_infinity"`
	// KolmogorovSmirnov is the largest difference of the two cumulative
	// distributions at the edges of bins; 0 for categories.
	KolmogorovSmirnov float64 `json:"kolmogorov_smirnov"`
	// Wasserstein is the mean distance that rows would have to move, between
	// middles of bins, in standard deviations of the reference; 0 for categories.
	Wasserstein float64 `json:"wasserstein"`
}

// zeroShare stands for an empty bin in the population stability index.
const zeroShare = 0.0001

// Distance compares the counts of two sides in the same bins. Edges are those
// of ordered bins, nil for categories. Both sides must hold something.
func Distance(reference, window, edges []float64) Distances {
	var d Distances
	m, n := total(reference), total(window)
	var cumulative, js float64
	for i := range reference {
		p, q := reference[i]/m, window[i]/n
		d.LInfinity = max(d.LInfinity, math.Abs(q-p))
		js += halfDivergence(p, (p+q)/2) + halfDivergence(q, (p+q)/2)
		cumulative += q - p
		if edges != nil {
			d.KolmogorovSmirnov = max(d.KolmogorovSmirnov, math.Abs(cumulative))
		}
		p, q = orZeroShare(p), orZeroShare(q)
		d.PSI += (q - p) * math.Log(q/p)
	}
	d.JensenShannon = math.Sqrt(max(0, js/2/math.Ln2))
	if edges != nil {
		d.Wasserstein = wasserstein(reference, window, middles(edges))
	}
	return d
}

func orZeroShare(p float64) float64 {
	if p == 0 {
		return zeroShare
	}
	return p
}

func halfDivergence(p, middle float64) float64 {
	if p == 0 {
		return 0
	}
	return p * math.Log(p/middle)
}

// middles of the bins between edges.
func middles(edges []float64) []float64 {
	m := make([]float64, len(edges)-1)
	for i := range m {
		m[i] = edges[i]/2 + edges[i+1]/2
	}
	return m
}

func wasserstein(reference, window, at []float64) float64 {
	m, n := total(reference), total(window)
	_, deviation := moments(reference, at)
	if !(deviation > 0) {
		return 0
	}
	var cumulative, distance float64
	for i := range len(at) - 1 {
		cumulative += window[i]/n - reference[i]/m
		distance += math.Abs(cumulative) * (at[i+1] - at[i]) / deviation
	}
	return distance
}

// moments are the mean and standard deviation of counts at these values. They
// are scaled by the largest, so that squares of huge values stay finite.
func moments(counts, at []float64) (mean, deviation float64) {
	scale := 0.0
	for _, x := range at {
		scale = max(scale, math.Abs(x))
	}
	if scale == 0 {
		return 0, 0
	}
	n := total(counts)
	for i, c := range counts {
		mean += c / n * (at[i] / scale)
	}
	for i, c := range counts {
		d := at[i]/scale - mean
		deviation += c / n * d * d
	}
	return mean * scale, math.Sqrt(deviation) * scale
}
