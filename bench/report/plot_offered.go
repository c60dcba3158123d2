package report

import (
	"fmt"
	"slices"
)

// plotOffered draws the median and the 99th percentile of every contender over
// the rate that was offered; with points that are no rates of one sweep, as bars.
func plotOffered(r *Result) string {
	o := r.Offered
	c := &canvas{width: plotWidth, height: 600}
	heading(c, r)
	if o.Beside != "" || o.overloaded() {
		return plotPoints(c, o)
	}
	const left, right, top, bottom = margin + 50, plotWidth - margin - 190, 110.0, 530.0
	c.text(point{margin, 84}, atStart, 14, black, fmt.Sprintf("Latency over the rate that is offered, ms (%s version %s, open loop, %s arrivals)", o.Model, o.Version, o.Arrivals))
	var rates, latencies []float64
	for _, s := range o.Series {
		for i := range s.Points {
			rates = append(rates, over(s.Points[i].Rounds, func(r *OfferedRound) float64 { return r.Offered }).Median)
			for _, r := range s.Points[i].Rounds {
				latencies = append(latencies, r.Latency.P50, r.Latency.P99)
			}
		}
	}
	x, y := newLogAxis(rates, left, right), newLogAxis(latencies, bottom, top)
	horizontals(c, y, left, right)
	for _, v := range x.ticks() {
		c.line(point{x.at(v), top}, point{x.at(v), bottom}, lightGrey, 1, false)
		c.text(point{x.at(v), bottom + 18}, atMiddle, textSize, grey, trimmed(v))
	}
	c.text(point{(left + right) / 2, bottom + 42}, atMiddle, textSize, grey, "requests offered a second; thick: p99 with the range of the rounds, thin: p50")
	var names []string
	for i := range o.Series {
		s := &o.Series[i]
		names = append(names, s.Name)
		curve(c, s, x, y, colour(i), 1.2, func(r *OfferedRound) float64 { return r.Latency.P50 })
		curve(c, s, x, y, colour(i), 2.4, func(r *OfferedRound) float64 { return r.Latency.P99 })
	}
	legend(c, point{right + 20, top + 10}, names)
	return c.String()
}

// curve draws one figure of a series, and a band over its rounds where it is
// the thick one.
func curve(c *canvas, s *Series, x, y axis, colour string, width float64, figure func(*OfferedRound) float64) {
	var line, upper, lower []point
	for i := range s.Points {
		at := x.at(over(s.Points[i].Rounds, func(r *OfferedRound) float64 { return r.Offered }).Median)
		v := over(s.Points[i].Rounds, figure)
		line, upper, lower = append(line, point{at, y.at(v.Median)}), append(upper, point{at, y.at(v.Max)}), append(lower, point{at, y.at(v.Min)})
	}
	if width > 2 {
		slices.Reverse(lower)
		c.band(append(upper, lower...), colour)
	}
	for i := 1; i < len(line); i++ {
		c.line(line[i-1], line[i], colour, width, false)
	}
	for _, p := range line {
		c.rect(point{p.x - 2, p.y - 2}, 4, 4, colour)
	}
}

// plotPoints draws bars of the latency and of the good answers of each point.
func plotPoints(c *canvas, o *Offered) string {
	y := 80.0
	for i := range o.Series {
		s := &o.Series[i]
		c.text(point{margin, y + 14}, atStart, 14, black, fmt.Sprintf("%s on %s version %s, capacity %s a second", s.Name, o.Model, o.Version, short(NewSpread(s.Capacity).Median)))
		c.text(point{190, y + 36}, atStart, textSize, grey, "p99 of good answers, ms")
		c.text(point{570, y + 36}, atStart, textSize, grey, "good answers a second")
		pointBars(c, s, y+46, 190, 450, true, func(r *OfferedRound) float64 { return r.Latency.P99 })
		pointBars(c, s, y+46, 570, 830, false, func(r *OfferedRound) float64 { return r.PerSecond })
		y += 70 + float64(len(s.Points))*(barHeight+barGap)
	}
	c.height = y
	return c.String()
}

func pointBars(c *canvas, s *Series, top, left, right float64, named bool, figure func(*OfferedRound) float64) {
	list := make([]bar, len(s.Points))
	for i := range s.Points {
		list[i] = bar{s.Points[i].Name, kindColour(s.Kind), over(s.Points[i].Rounds, figure)}
	}
	drawBars(c, list, top, left, right, named)
}
