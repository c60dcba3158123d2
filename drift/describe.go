package drift

import (
	"math"
	"strconv"
)

// describe says in which direction a series changed, and shows it.
func (j *judge) describe(out *FeatureReport, f *Feature, series int, t seriesTest) {
	m, n := total(t.cells.reference), total(t.cells.window)
	if m == 0 || n == 0 {
		return
	}
	s := &f.Series[series]
	var shift, most float64
	for i, a := range t.cells.reference {
		bar := Bar{Bin: s.Label(i), Reference: a / m, Window: t.cells.window[i] / n}
		if a+t.cells.window[i] > 0 || f.Kind.ordered() {
			out.Histogram = append(out.Histogram, bar)
		}
		change := bar.Window - bar.Reference
		shift += float64(i) * change
		if math.Abs(change) > math.Abs(most) {
			most, out.Bin = change, bar.Bin
		}
	}
	switch {
	case most == 0:
	case !f.Kind.ordered() && most > 0:
		out.Direction = "more"
	case !f.Kind.ordered():
		out.Direction = "less"
	// The mean bin moved by less than a quarter of what changed places.
	case math.Abs(shift) < 0.25*float64(len(t.cells.reference))*math.Abs(most):
		out.Direction = "spread"
	case shift > 0:
		out.Direction = "up"
	default:
		out.Direction = "down"
	}
}

// Label names a bin: the range of numbers, the category, "other", or "unseen"
// for the position after the last bin.
func (s *Series) Label(bin int) string {
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }
	switch {
	case bin < len(s.Edges)-1:
		closing := ")"
		if bin == len(s.Edges)-2 {
			closing = "]"
		}
		return "[" + number(s.Edges[bin]) + "," + number(s.Edges[bin+1]) + closing
	case bin < len(s.Categories):
		return s.Categories[bin]
	case s.Other && bin == len(s.Categories):
		return "other"
	default:
		return "unseen"
	}
}

// accuracy is the expectation of a calibrated confidence, nil for any other
// feature: by histogram binning (Zadrozny and Elkan 2001), in the confidence's
// own bins.
func (j *judge) accuracy(i int) *Accuracy {
	f := &j.profile.Features[i]
	if f.Kind != Confidence || len(f.Series[0].Correct) == 0 {
		return nil
	}
	s := &f.Series[0]
	window := binned(f.Kind, j.Window.Counts(i, 0))
	n := total(window)
	if n/j.windowEffect < float64(j.Policy.MinSamples) {
		return nil
	}
	var a Accuracy
	var m, variance, second float64
	for b, held := range s.Reference.Bins {
		m += float64(held)
		a.Reference += float64(s.Correct[b])
		if held == 0 {
			continue
		}
		right, q := float64(s.Correct[b])/float64(held), window[b]/n
		a.Expected += q * right
		second += q * right * right
		variance += q * q * right * (1 - right) / float64(held)
	}
	if m == 0 {
		return nil
	}
	a.Reference /= m
	variance += max(0, second-a.Expected*a.Expected) * j.windowEffect / n
	a.Error = math.Sqrt(variance)
	return &a
}
