package report

import "fmt"

// Plot draws a result as one SVG.
func Plot(r *Result) string {
	if r.Changes != nil {
		return plotChanges(r)
	}
	if r.Offered != nil {
		return plotOffered(r)
	}
	return plotThroughput(r)
}

const (
	plotWidth = 900.0
	margin    = 24.0
	textSize  = 12.0
	titleSize = 16.0
)

// heading writes the title and what must be known to read the plot.
func heading(c *canvas, r *Result) {
	c.text(point{margin, 30}, atStart, titleSize, black, r.Title)
	m := r.Setup.Machine
	c.text(point{margin, 50}, atStart, textSize, grey, fmt.Sprintf("%s, %d cores shared by client and server; %d rounds of %s s: median and range; commit %s",
		m.CPU, m.Cores, r.Setup.Rounds, short(r.Setup.RoundSeconds), r.Setup.Commit))
}

// legend lists the series beside their colours.
func legend(c *canvas, at point, names []string) {
	for i, name := range names {
		c.line(at, point{at.x + 18, at.y}, colour(i), 3, false)
		c.text(point{at.x + 24, at.y + 4}, atStart, textSize, black, name)
		at.y += 18
	}
}
