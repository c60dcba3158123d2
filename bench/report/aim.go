package report

import "fmt"

// Aim is a figure that was to be reached.
type Aim struct {
	// What says the figure, Unit what it is counted in.
	What string `json:"what"`
	Unit string `json:"unit"`
	// AtLeast and AtMost are the bound; the other is 0.
	AtLeast float64 `json:"at_least,omitempty"`
	AtMost  float64 `json:"at_most,omitempty"`
	// Reached is the median of the rounds, with the least and the largest.
	Reached Spread `json:"reached"`
	// Measured is how many rounds there were.
	Measured int `json:"measured_rounds"`
}

// Met reports whether the median of the rounds keeps the bound. A figure that
// was not measured is not met.
func (a *Aim) Met() bool {
	return a.Measured > 0 && a.Reached.Median >= a.AtLeast &&
		(a.AtMost == 0 || a.Reached.Median <= a.AtMost)
}

func (a *Aim) bound() string {
	if a.AtMost != 0 {
		return fmt.Sprintf("≤ %s %s", trimmed(a.AtMost), a.Unit)
	}
	return fmt.Sprintf("≥ %s %s", trimmed(a.AtLeast), a.Unit)
}

// row writes the aim as a line of a table.
func (a *Aim) row() []string {
	return []string{a.What, a.bound(), spread(a.Reached) + " " + a.Unit, map[bool]string{true: "yes", false: "**no**"}[a.Met()]}
}

// aimsPart writes the figures that the scenario wanted to reach.
func aimsPart(p *page, r *Result) {
	if len(r.Aims) == 0 {
		return
	}
	p.say("## Figures to reach\n")
	rows := [][]string{{"figure", "wanted", "reached", "met"}}
	for i := range r.Aims {
		rows = append(rows, r.Aims[i].row())
	}
	p.table(rows...)
}
