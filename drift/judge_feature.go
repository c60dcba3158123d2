package drift

import (
	"math"
	"slices"
)

// judge is one comparison on its way.
type judge struct {
	Comparison
	profile                       *Profile
	alpha                         float64 // of one feature
	windowEffect, referenceEffect float64
	next                          State
}

// counts are both sides' of one series.
func (j *judge) counts(feature, series int) (reference, window Counts) {
	if j.Reference != nil {
		return j.Reference.Counts(feature, series), j.Window.Counts(feature, series)
	}
	return j.profile.Features[feature].Series[series].Reference, j.Window.Counts(feature, series)
}

func (j *judge) feature(i int) FeatureReport {
	f := &j.profile.Features[i]
	out := FeatureReport{Name: f.Name, Kind: f.Kind, Side: f.Side, Position: i, P: 1, Insufficient: true}
	tests, best := 0, -1
	var found []seriesTest
	for s := range f.Series {
		t := j.distribution(i, s)
		found = append(found, t)
		if !t.sufficient || t.freedom == 0 {
			continue
		}
		tests++
		if best < 0 || t.p < found[best].p {
			best = s
		}
	}
	out.Series = f.Series[0].Name
	if best >= 0 {
		// Bonferroni over the series of a tensor.
		t, alpha := found[best], j.alpha*distributionShare/float64(tests)
		out.Series = f.Series[best].Name
		out.P = min(1, t.p*float64(tests))
		out.Statistic, out.Critical = t.statistic, chiSquareCritical(alpha, t.freedom)
		for s, t := range found {
			if t.sufficient && t.p <= alpha && t.effect >= j.Policy.MinPSI {
				out.Alarm = true
				out.Causes = []string{"distribution"}
				// The one that differs most surely may differ by too little.
				if found[best].effect < j.Policy.MinPSI {
					best, out.Series = s, f.Series[s].Name
				}
			}
		}
	}
	shown := max(best, 0)
	out.Effect, out.Distances = found[shown].effect, found[shown].distances
	out.Insufficient = !slices.ContainsFunc(found, func(t seriesTest) bool { return t.sufficient })
	out.Needed = found[shown].needed
	j.describe(&out, f, shown, found[shown])
	j.rates(&out, i)
	return out
}

// leastReference is the least effective number of rows of a reference. The
// test has the right size with fewer too, and then finds next to nothing.
const leastReference = 50

// seriesTest is the test for one distribution in the bins of one series.
type seriesTest struct {
	cells      cells
	sufficient bool
	needed     uint64
	statistic  float64
	freedom    int
	p          float64
	effect     float64
	distances  Distances
}

// distribution tests one series. What is out of range counts in the outer
// bins, so that a shift of everything is seen; what is missing does not count.
func (j *judge) distribution(feature, series int) seriesTest {
	f := &j.profile.Features[feature]
	s := &f.Series[series]
	reference, window := j.counts(feature, series)
	t := seriesTest{p: 1, cells: cells{binned(f.Kind, reference), binned(f.Kind, window)}}
	m, n := total(t.cells.reference), total(t.cells.window)
	least := float64(j.Policy.MinSamples)
	if lacking := least - n/j.windowEffect; lacking > 0 {
		t.needed = uint64(math.Ceil(lacking * j.windowEffect))
	}
	if m > 0 && n > 0 {
		edges := s.Edges
		if !f.Kind.ordered() || len(edges) == 0 {
			edges = nil
		}
		t.distances = Distance(t.cells.reference, t.cells.window, edges)
	}
	t.sufficient = m > 0 && n > 0 && n/j.windowEffect >= least && m/j.referenceEffect >= leastReference
	if !t.sufficient {
		return t
	}
	grouped := t.cells.group(f.Kind.ordered(), min(m/j.referenceEffect, n/j.windowEffect))
	t.statistic, t.freedom = grouped.powerDivergence()
	// Rao and Scott's first-order correction, for the effects of both sides.
	noise := j.referenceEffect/m + j.windowEffect/n
	t.statistic *= (1/m + 1/n) / noise
	t.p = chiSquareTail(t.statistic, t.freedom)
	if t.freedom > 0 {
		t.effect = max(0, Distance(grouped.reference, grouped.window, nil).PSI-float64(t.freedom)*noise)
	}
	return t
}

// binned are the counts that have a place in the distribution.
func binned(kind Kind, c Counts) []float64 {
	bins := make([]float64, len(c.Bins))
	for i, n := range c.Bins {
		bins[i] = float64(n)
	}
	if !kind.ordered() {
		return append(bins, float64(c.Unseen))
	}
	if len(bins) > 0 {
		bins[0] += float64(c.Below)
		bins[len(bins)-1] += float64(c.Above)
	}
	return bins
}
