package report

import "fmt"

const (
	barHeight = 20.0
	barGap    = 6.0
)

// plotThroughput draws, for every model, bars of the answers a second and of
// the server's CPU time for each.
func plotThroughput(r *Result) string {
	t := r.Throughput
	c := &canvas{width: plotWidth, height: 70}
	heading(c, r)
	for i := range t.Models {
		m := &t.Models[i]
		top := c.height
		c.text(point{margin, top + 14}, atStart, 14, black, fmt.Sprintf("%s version %s", m.Model, m.Version))
		c.text(point{190, top + 36}, atStart, textSize, grey, "answers a second")
		c.text(point{570, top + 36}, atStart, textSize, grey, "µs of server CPU per answer")
		bars(c, m, top+46, 190, 450, true, func(r *ThroughputRound) float64 { return r.PerSecond })
		bars(c, m, top+46, 570, 830, false, func(r *ThroughputRound) float64 { return r.CPU })
		c.height = top + 46 + float64(len(m.Contenders))*(barHeight+barGap) + 24
	}
	return c.String()
}

// bars draws one figure of every contender.
func bars(c *canvas, m *ModelFigures, top, left, right float64, named bool, figure func(*ThroughputRound) float64) {
	list := make([]bar, len(m.Contenders))
	for i, one := range m.Contenders {
		list[i] = bar{one.Name, kindColour(one.Kind), over(one.Rounds, figure)}
	}
	drawBars(c, list, top, left, right, named)
}

// bar is one bar with its name.
type bar struct {
	name, colour string
	value        Spread
}

// drawBars draws bars below one another, each to its median, with a thin line
// from the least round to the largest.
func drawBars(c *canvas, list []bar, top, left, right float64, named bool) {
	var all []float64
	for _, b := range list {
		all = append(all, b.value.Max)
	}
	x := newAxis(all, left, right)
	for i, one := range list {
		y := top + float64(i)*(barHeight+barGap)
		middle := y + barHeight/2
		s := one.value
		if named {
			c.text(point{left - 8, middle + 4}, atEnd, textSize, black, one.name)
		}
		c.rect(point{left, y}, x.at(s.Median)-left, barHeight, one.colour)
		c.line(point{x.at(s.Min), middle}, point{x.at(s.Max), middle}, black, 1.5, false)
		c.text(point{x.at(s.Max) + 6, middle + 4}, atStart, textSize, black, short(s.Median))
	}
}

// kindColour tells ours from the limits.
func kindColour(kind string) string {
	switch kind {
	case "gateway":
		return blue
	case "echo":
		return "#56B4E9"
	case kindRuntime:
		return "#E69F00"
	case "peer":
		return vermillion
	}
	return grey
}
