package drift

import (
	"cmp"
	"math"
	"slices"
)

// Comparison is what a verdict is about. With the training profile, Reference
// is nil; with last week's same window, or a canary's with its control's, it
// is that other window, of the same bins.
type Comparison struct {
	Window    *Window
	Reference *Window
	Policy    Policy
	// State is what Judge returned for the verdict before.
	State State
}

// distributionShare of a feature's alpha is for its distribution, the rest for
// its rates.
const distributionShare = 0.9

// Judge compares a window with its reference. It returns the state that the
// next comparison of the same kind wants; the one given stays as it is.
func Judge(c Comparison) (Report, State) {
	j := judge{Comparison: c, profile: c.Window.profile, next: State{}}
	j.windowEffect = designEffect(c.Window.unevenness(), c.Policy.Correlation)
	j.referenceEffect = designEffect(max(1, j.profile.DesignEffect), c.Policy.Correlation)
	r := Report{
		Model: j.profile.Model, Version: j.profile.Version,
		Samples: c.Window.rows, ReferenceSamples: j.profile.Samples,
		Units: c.Window.Units(), Alpha: c.Policy.alpha(),
	}
	if c.Reference != nil {
		j.referenceEffect = designEffect(c.Reference.unevenness(), c.Policy.Correlation)
		r.ReferenceSamples = c.Reference.rows
	}
	r.Effective = float64(c.Window.rows) / j.windowEffect
	j.alpha = r.Alpha / float64(max(len(j.profile.Features), 1))
	r.Insufficient = true
	for i := range j.profile.Features {
		f := j.feature(i)
		r.Alarm = r.Alarm || f.Alarm
		r.Insufficient = r.Insufficient && f.Insufficient && !f.Alarm
		r.Features = append(r.Features, f)
		if a := j.accuracy(i); a != nil {
			r.Accuracy = a
		}
	}
	if lacking := float64(c.Policy.MinSamples) - r.Effective; r.Insufficient && lacking > 0 {
		r.Needed = uint64(math.Ceil(lacking * j.windowEffect))
	}
	rank(r.Features)
	return r, j.next
}

// designEffect is by how much the variance of counts grows because rows of one
// unit are alike: 1 + (b−1)·ρ, b being the mean number of rows of a row's own
// unit (Kish 1965; Rao and Scott 1981 divide chi-square statistics by it).
func designEffect(unevenness, correlation float64) float64 {
	return 1 + (unevenness-1)*min(max(correlation, 0), 1)
}

func (w *Window) unevenness() float64 { return w.units.unevenness(w.rows) }

// rank puts alarms first and then what differs most surely, and fills in the
// q-values.
func rank(features []FeatureReport) {
	p := make([]float64, len(features))
	for i := range features {
		p[i] = features[i].P
	}
	for i, q := range falseDiscovery(p) {
		features[i].Q = q
	}
	slices.SortStableFunc(features, func(a, b FeatureReport) int {
		if a.Alarm != b.Alarm {
			if a.Alarm {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.P, b.P), cmp.Compare(b.Effect, a.Effect))
	})
}
