package report

import (
	"math"
	"strconv"
)

// axis maps values to pixels, evenly or by their logarithm.
type axis struct {
	low, high float64 // values
	from, to  float64 // pixels
	log       bool
}

// newLogAxis spans whole steps of 1, 2 and 5 around the values; values that
// are not positive have no place on it and are left out.
func newLogAxis(values []float64, from, to float64) axis {
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	if high == 0 {
		low, high = 1, 10
	}
	a := axis{low: stepBelow(low), high: stepAbove(high), from: from, to: to, log: true}
	if a.high <= a.low {
		a.high = stepAbove(a.low * 1.01)
	}
	return a
}

// newAxis spans from 0 to above the largest value.
func newAxis(values []float64, from, to float64) axis {
	high := 0.0
	for _, v := range values {
		high = max(high, v)
	}
	if high == 0 {
		high = 1
	}
	return axis{high: high * 1.02, from: from, to: to}
}

// at returns the pixel of a value; outside of the axis it is at its end.
func (a axis) at(v float64) float64 {
	v = min(max(v, a.low), a.high)
	part := (v - a.low) / (a.high - a.low)
	if a.log {
		part = math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return a.from + part*(a.to-a.from)
}

// ticks returns the values to mark: on a logarithmic axis steps of 1, 2 and 5,
// or of 1 alone where those would be too many.
func (a axis) ticks() []float64 {
	var all []float64
	const most = 10
	for v := a.low; v <= a.high*1.001; v = stepAbove(v * 1.01) {
		all = append(all, v)
	}
	if len(all) <= most {
		return all
	}
	var tens []float64
	for _, v := range all {
		if l := math.Log10(v); math.Abs(l-math.Round(l)) < 1e-9 {
			tens = append(tens, v)
		}
	}
	return tens
}

// stepAbove returns the least of 1, 2, 5, 10, … that is not below v.
func stepAbove(v float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5} {
		if rounded(ten*step) >= v*(1-1e-9) {
			return rounded(ten * step)
		}
	}
	return rounded(ten * 10)
}

// stepBelow returns the largest of 1, 2, 5, 10, … that is not above v.
func stepBelow(v float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{5, 2} {
		if rounded(ten*step) <= v*(1+1e-9) {
			return rounded(ten * step)
		}
	}
	return rounded(ten)
}

// rounded takes off what binary fractions add to a decimal step.
func rounded(v float64) float64 {
	text := strconv.FormatFloat(v, 'g', 6, 64)
	parsed, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic("report: a number that was just written cannot be read: " + text)
	}
	return parsed
}

// short writes a number with three digits: 0.123, 12.3, 1230, 12.3k.
func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', decimals(v/1e6), 64) + "M"
	case math.Abs(v) >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', decimals(v/1e3), 64) + "k"
	}
	return strconv.FormatFloat(v, 'f', decimals(v), 64)
}

// decimals is how many digits behind the point leave three that count.
func decimals(v float64) int {
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return min(max(digits, 0), 4)
}

// trimmed writes a tick without zeros that say nothing.
func trimmed(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
