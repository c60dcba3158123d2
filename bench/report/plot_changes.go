package report

import (
	"fmt"
	"math"
	"slices"
)

// plotChanges draws latency by percentile for every phase, and how soon
// changes are in force.
func plotChanges(r *Result) string {
	c := &canvas{width: plotWidth, height: 750}
	heading(c, r)
	ch := r.Changes
	c.text(point{margin, 84}, atStart, 14, black, fmt.Sprintf("Latency of requests by percentile, ms (%s %s, open loop, %s a second)",
		ch.Model, ch.Protocol, short(ch.Offered)))
	plotCurves(c, ch.Phases, 100, 400)
	c.text(point{margin, 470}, atStart, 14, black, "From the write to Consul to the first answer under the new table: part of changes, by ms")
	plotInForce(c, ch.Phases, 486, 690)
	return c.String()
}

// place is where a quantile lies: as far apart as the number of nines.
func place(q float64) float64 { return -math.Log10(1 - q) }

// fewestBeyond is how many answers must lie beyond a quantile for it to be
// drawn: with fewer it says more about chance than about the gateway.
const fewestBeyond = 10

// drawn is how many of the curve's quantiles every round has enough answers
// for.
func drawn(p *Phase) int {
	fewest := over(p.Rounds, func(r *PhaseRound) float64 { return float64(r.Latency.Count) }).Min
	return len(slices.DeleteFunc(CurveQuantiles(), func(q float64) bool { return math.Round(fewest*(1-q)*1e6)/1e6 < fewestBeyond }))
}

func plotCurves(c *canvas, phases []Phase, top, bottom float64) {
	const left, right = margin + 50, plotWidth - margin - 150
	x := axis{low: 0, high: place(.9999), from: left, to: right}
	var all []float64
	for i := range phases {
		for _, r := range phases[i].Rounds {
			all = append(all, r.Latency.Curve[:drawn(&phases[i])]...)
		}
	}
	y := newLogAxis(all, bottom, top)
	horizontals(c, y, left, right)
	for _, q := range []float64{0, .5, .9, .99, .999, .9999} {
		at := x.at(place(q))
		c.line(point{at, top}, point{at, bottom}, lightGrey, 1, false)
		c.text(point{at, bottom + 18}, atMiddle, textSize, grey, fmt.Sprintf("%s%%", trimmed(math.Round(q*1e6)/1e4)))
	}
	var names []string
	for i := range phases {
		p := &phases[i]
		names = append(names, p.Name)
		var line, upper, lower []point
		for j, q := range CurveQuantiles()[:drawn(p)] {
			s := over(p.Rounds, func(r *PhaseRound) float64 { return r.Latency.Curve[j] })
			at := x.at(place(q))
			line = append(line, point{at, y.at(s.Median)})
			upper = append(upper, point{at, y.at(s.Max)})
			lower = append(lower, point{at, y.at(s.Min)})
		}
		slices.Reverse(lower)
		c.band(append(upper, lower...), colour(i))
		c.polyline(line, colour(i))
	}
	legend(c, point{right + 20, top + 10}, names)
}

// horizontals draws the ticks of an axis that goes up.
func horizontals(c *canvas, y axis, left, right float64) {
	for _, v := range y.ticks() {
		c.line(point{left, y.at(v)}, point{right, y.at(v)}, lightGrey, 1, false)
		c.text(point{left - 8, y.at(v) + 4}, atEnd, textSize, grey, trimmed(v))
	}
}

func plotInForce(c *canvas, phases []Phase, top, bottom float64) {
	const left, right = margin + 50, plotWidth - margin - 150
	var all []float64
	for i := range phases {
		all = append(append(all, phases[i].InForce()...), phases[i].AimP99)
	}
	x := newLogAxis(all, left, right)
	y := axis{low: 0, high: 1, from: bottom, to: top}
	for _, v := range x.ticks() {
		c.line(point{x.at(v), top}, point{x.at(v), bottom}, lightGrey, 1, false)
		c.text(point{x.at(v), bottom + 18}, atMiddle, textSize, grey, trimmed(v))
	}
	for _, part := range []float64{0, .5, .99} {
		c.line(point{left, y.at(part)}, point{right, y.at(part)}, lightGrey, 1, false)
		c.text(point{left - 8, y.at(part) + 4}, atEnd, textSize, grey, trimmed(100*part)+"%")
	}
	at := point{right + 20, top + 10}
	for i := range phases {
		p := &phases[i]
		times := slices.Sorted(slices.Values(p.InForce()))
		if len(times) == 0 {
			continue
		}
		var steps []point
		for j, v := range times {
			n := float64(len(times))
			steps = append(steps, point{x.at(v), y.at(float64(j) / n)}, point{x.at(v), y.at(float64(j+1) / n)})
		}
		c.polyline(steps, colour(i))
		c.line(at, point{at.x + 18, at.y}, colour(i), 3, false)
		c.text(point{at.x + 24, at.y + 4}, atStart, textSize, black, fmt.Sprintf("%s (%d)", p.Name, len(times)))
		if p.AimP99 > 0 {
			c.line(point{x.at(p.AimP99), top}, point{x.at(p.AimP99), bottom}, colour(i), 1.5, true)
			c.text(point{at.x + 24, at.y + 20}, atStart, textSize, grey, "aim: p99 < "+trimmed(p.AimP99)+" ms")
			at.y += 16
		}
		at.y += 20
	}
}
