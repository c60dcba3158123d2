package drift

import "slices"

// share is a rate on both sides: how many of how many.
type share struct {
	rate                       Rate
	reference, of, window, out float64
	bound                      float64
}

// shares are the rates that apply to one series.
func (j *judge) shares(feature, series int) []share {
	f := &j.profile.Features[feature]
	s := &f.Series[series]
	reference, window := j.counts(feature, series)
	m, n := float64(reference.Total()), float64(window.Total())
	var all []share
	add := func(rate Rate, k, of, x, out float64) {
		all = append(all, share{rate, k, of, x, out, rateBound(k/j.referenceEffect, of/j.referenceEffect)})
	}
	if series == 0 {
		add(Missing, float64(reference.Missing), m, float64(window.Missing), n)
		if reference.Missing > 0 {
			add(Present, m-float64(reference.Missing), m, n-float64(window.Missing), n)
		}
	}
	switch present := n - float64(window.Missing); {
	case f.Kind == Boolean || s.Other:
	case s.bins() == 0 || !f.Kind.ordered():
		seen := float64(reference.Unseen)
		if j.Reference == nil {
			seen = float64(s.Singletons)
		}
		add(Unseen, seen, m-float64(reference.Missing), float64(window.Unseen), present)
	default:
		add(Below, float64(reference.Below), m-float64(reference.Missing), float64(window.Below), present)
		add(Above, float64(reference.Above), m-float64(reference.Missing), float64(window.Above), present)
	}
	return all
}

// rates puts the window into every sequential test of a feature.
func (j *judge) rates(out *FeatureReport, i int) {
	f := &j.profile.Features[i]
	var all [][]share
	tests := 0
	for s := range f.Series {
		all = append(all, j.shares(i, s))
		tests += len(all[s])
	}
	if tests == 0 {
		return
	}
	alpha := j.alpha * (1 - distributionShare) / float64(tests)
	for s, shares := range all {
		for _, r := range shares {
			if r.out == 0 || r.of == 0 {
				continue
			}
			key := f.Name + "/" + f.Series[s].Name + "/" + string(r.rate)
			e := rateEvidence(r.window/j.windowEffect, r.out/j.windowEffect, r.bound)
			over := j.State.advance(j.next, key, alpha, e)
			report := RateReport{
				Rate: r.rate, Reference: r.reference / r.of, Window: r.window / r.out, Evidence: min(1, j.next[key]),
			}
			if over {
				report.Evidence = 1
			}
			if len(f.Series) > 1 {
				report.Series = f.Series[s].Name
			}
			report.Alarm = over && report.Window-report.Reference >= j.Policy.MinRate
			if report.Alarm {
				out.Alarm = true
				if cause := string(r.rate); !slices.Contains(out.Causes, cause) {
					out.Causes = append(out.Causes, cause)
				}
			}
			if r.reference > 0 || r.window > 0 {
				out.Rates = append(out.Rates, report)
			}
		}
	}
}
