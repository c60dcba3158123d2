package drift

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Rates of missing, unseen and out-of-range rows are watched by sequential
// tests: each window's e-value, whose mean is at most 1 while the rate is as in
// the reference, goes into a Shiryaev-Roberts e-detector (Shin, Ramdas and
// Rinaldo, E-detectors, 2022), here with the budget of false alarms in the
// place of time:
//
//	M ← (M + a)·e        alarm at M ≥ 1, then from 0 again
//
// a being the probability of a false alarm that the verdict may spend. M less
// the a's spent is a supermartingale, so that by optional stopping at least a
// budget of 1 is spent in the mean before a false alarm. A small change thus
// adds up over windows, and a long quiet time does not make the detector deaf.

// Rate names one of the rates.
type Rate string

// The rates.
const (
	Missing Rate = "missing"
	Present Rate = "present" // fewer missing than in the reference
	Unseen  Rate = "unseen"
	Below   Rate = "below"
	Above   Rate = "above"
)

// rateConfidence is the probability that the reference's rate lies over the
// bound which is tested.
const rateConfidence = 1e-4

// rateBound is Clopper and Pearson's upper bound (1934) for a rate of which k
// of n were seen. For what lies beyond the largest of n values it is exact.
func rateBound(k, n float64) float64 {
	if k >= n {
		return 1
	}
	return mathext.InvRegIncBeta(k+1, n-k, 1-rateConfidence)
}

// oddsRatios of the alternatives that an e-value averages.
var oddsRatios = [...]float64{1.5, 2, 3, 5, 10, 30, 100}

// rateEvidence is the e-value of k events in n rows against "their rate is at
// most bound": a mean of binomial likelihood ratios, every alternative being
// over the bound.
func rateEvidence(k, n, bound float64) float64 {
	if bound >= 1 || n == 0 {
		return 1
	}
	sum := 0.0
	for _, r := range oddsRatios {
		p := r * bound / (1 - bound + r*bound)
		sum += math.Exp(min(700, k*math.Log(p/bound)+(n-k)*math.Log((1-p)/(1-bound))))
	}
	return sum / float64(len(oddsRatios))
}

// State is what sequential tests remember from verdict to verdict: the
// detectors' M by feature, series and rate. The zero State begins. It belongs
// to one comparison of one model and may be lost: then tests begin again.
type State map[string]float64

// advance puts one window into a detector and reports whether it alarms.
func (s State) advance(next State, key string, alpha, evidence float64) bool {
	m := s[key]
	if !(m > 0 && m < 1) { // whatever was stored
		m = 0
	}
	m = (m + alpha) * evidence
	if m >= 1 {
		return true
	}
	if m > alpha*1e-6 {
		next[key] = m
	}
	return false
}
