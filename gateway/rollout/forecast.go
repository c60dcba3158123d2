package rollout

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Traffic is what a forecast assumes.
type Traffic struct {
	// Rate is how many requests a second reach the whole fleet; of callers,
	// where traffic is sticky, how many new ones a second.
	Rate float64
	// Bad is stable's rate of bad events, 0 to 1.
	Bad float64
	// Copies is the part of the requests that is copied to a shadow, 0 to 1.
	Copies float64
}

// Forecast is how much traffic one step takes. Units are requests of the canary
// (callers, where traffic is sticky); -1 stands for a verdict that is not to be
// expected within a million of them, and a negative time for none.
type Forecast struct {
	Step  int
	Share float64
	// Clean is how many units of the canary without a bad event let the step
	// go, all guards together.
	Clean int
	// Typical is the median number that a canary as good as stable takes.
	Typical int
	// Time is how long the step takes in the typical case: units, min_requests
	// and min_time. Pauses are not in it.
	Time time.Duration
	// Detect is how many units a canary with so many times stable's bad events
	// answers until it is taken back, in the median.
	Detect []Detection
}

// Detection is how soon a worse canary is noticed.
type Detection struct {
	// Ratio is the canary's rate of bad events over stable's; +Inf stands for
	// one that always fails.
	Ratio float64
	Units int
	// Within is the time it takes at the given rate; negative for never.
	Within time.Duration
}

// Forecast says for every step how much traffic its verdicts take. Medians are
// of simulations with a fixed seed, under the guard errors or else the first
// that is on.
func (p *Plan) Forecast(traffic Traffic) []Forecast {
	var all []Forecast
	for i := p.First(); i < len(p.Steps); i++ {
		if i == ShadowStep {
			all = append(all, p.forecastShadow(traffic))
			continue
		}
		all = append(all, p.forecast(i, traffic))
	}
	return all
}

func (p *Plan) forecast(i int, traffic Traffic) Forecast {
	step := p.Steps[i]
	f := Forecast{Step: i, Share: step.Share}
	for g := range Guard(ratioGuards) {
		if p.Guards.Has(g) {
			f.Clean = max(f.Clean, p.clean(g, 0))
			bad := traffic.Bad
			if g == Slow {
				bad = 0.01 // by definition: slow is what is over the 99th percentile
			}
			typical := p.simulate(g, i, bad, 1, false)
			if f.Typical = max(f.Typical, typical); typical < 0 || f.Typical < 0 {
				f.Typical = -1
			}
		}
	}
	f.Time = -1
	if f.Typical >= 0 {
		need := max(f.Typical, step.MinRequests)
		if wait := duration(need, traffic.Rate*step.Share); wait >= 0 {
			f.Time = max(wait, step.MinTime)
		}
	}
	judge := p.firstRatio()
	if judge == guards {
		return f
	}
	for _, ratio := range []float64{math.Inf(1), 20, 5, 2} {
		units := p.simulate(judge, i, traffic.Bad, ratio, true)
		f.Detect = append(f.Detect, Detection{ratio, units, duration(units, traffic.Rate*step.Share)})
	}
	return f
}

// clean is how many units without a bad event a guard wants, after so many
// without.
func (p *Plan) clean(g Guard, n float64) int {
	return lacking(n, -math.Log(p.PromoteAlpha), func(n float64) float64 {
		return p.ratios[g].proof(n, 0, nil)
	})
}

func (p *Plan) forecastShadow(traffic Traffic) Forecast {
	f := Forecast{Step: ShadowStep, Clean: p.samples}
	if q := 2 * p.disagreement; q < 1 {
		f.Clean = max(f.Clean, lacking(0, -math.Log(p.PromoteAlpha), func(n float64) float64 { return lnBelow(n, 0, q) }))
	}
	f.Typical = f.Clean
	f.Time = duration(f.Clean, traffic.Rate*traffic.Copies)
	return f
}

func (p *Plan) firstRatio() Guard {
	for g := range Guard(ratioGuards) {
		if p.Guards.Has(g) {
			return g
		}
	}
	return guards
}

const (
	// paths is how many rollouts a median is of, maxUnits how long they go on.
	paths    = 201
	maxUnits = 1_000_000
)

// simulate is the median number of the canary's units until the guard takes it
// back, or else until it lets the step go; -1 for more than maxUnits. Events are
// drawn one by one, with the canary's units between them.
func (p *Plan) simulate(g Guard, step int, bad, ratio float64, back bool) int {
	w := p.Share(step)
	canaryRate := min(1, bad*ratio)
	if math.IsInf(ratio, 1) {
		canaryRate = 1
	}
	rate := w*canaryRate + (1-w)*bad // of events per request
	if rate == 0 {
		if back {
			return -1
		}
		return p.clean(g, 0)
	}
	random := rand.New(rand.NewPCG(1, uint64(step)))
	needed := make([]int, paths)
	for i := range needed {
		needed[i] = p.path(g, step, random, w, canaryRate, bad, back)
	}
	slices.Sort(needed)
	if median := needed[paths/2]; median < maxUnits {
		return median
	}
	return -1
}

// path is one simulated rollout.
func (p *Plan) path(g Guard, step int, random *rand.Rand, w, canaryRate, bad float64, back bool) int {
	limits := p.ratios[g]
	threshold, promote := p.threshold(step, 0), -math.Log(p.PromoteAlpha)
	rate := w*canaryRate + (1-w)*bad
	// What one of the canary's events adds to lnWorse, and what any event does.
	var own, each [alternatives]float64
	for k := range own {
		one := func(canary, stable float64) float64 {
			return lnRatio(cell{w, canary, stable}, limits.tolerated, limits.tolerated*alternative(k))
		}
		own[k], each[k] = one(1, 0)-one(0, 1), one(0, 1)
	}
	c, units := cell{w: w}, 0.0
	for units < maxUnits {
		// Requests up to the next event, of which so many were the canary's
		// and good.
		good := random.ExpFloat64() / rate * w * (1 - canaryRate)
		if !back {
			proof := func(n float64) float64 { return limits.proof(n, c.canary, []cell{c}) }
			if proof(units+good) >= promote {
				return int(units) + lacking(units, promote, proof)
			}
		}
		units += good
		if random.Float64() >= w*canaryRate/rate {
			c.stable++
			continue
		}
		c.canary++
		units++
		if !back {
			continue
		}
		var l [alternatives]float64
		for k := range l {
			l[k] = c.canary*own[k] + (c.canary+c.stable)*each[k]
		}
		if lnMean(l[:]) >= threshold {
			return int(units)
		}
	}
	return maxUnits
}

// duration is how long so many units take at a rate; negative for never.
func duration(units int, rate float64) time.Duration {
	seconds := float64(units) / rate
	if units < 0 || !(rate > 0) || seconds > math.MaxInt64/2e9 {
		return -1
	}
	return time.Duration(seconds * float64(time.Second))
}
