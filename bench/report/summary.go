package report

import (
	"cmp"
	"slices"
)

// Summary writes the figures to reach of all results as one page.
func Summary(results []*Result) string {
	p := &page{}
	p.say("# Figures to reach\n")
	p.say("Medians of the rounds with the least and the largest, as the pages of the scenarios have them. Written by the benchmark from the")
	p.say("results that lie beside this page.\n")
	rows := [][]string{{"scenario", "figure", "wanted", "reached", "met", "rounds", "commit", "started"}}
	results = slices.SortedFunc(slices.Values(results), func(a, b *Result) int { return cmp.Compare(a.Scenario, b.Scenario) })
	for _, r := range results {
		rounds := trimmed(float64(r.Setup.Rounds))
		if r.Setup.Rounds < fewestRounds {
			rounds += " (a try)"
		}
		for i := range r.Aims {
			row := append([]string{"[" + r.Scenario + "](" + r.Scenario + ".md)"}, r.Aims[i].row()...)
			rows = append(rows, append(row, rounds, r.Setup.Commit, r.Setup.Started.Format("2006-01-02 15:04")))
		}
	}
	p.table(rows...)
	for _, r := range results {
		for _, part := range []struct {
			what  string
			lines []string
		}{{"requests failed", r.Failures}, {"rounds have no figures", r.Missing}} {
			if len(part.lines) > 0 {
				p.say("**In [%s](%s.md) %s:**\n", r.Scenario, r.Scenario, part.what)
				p.list(part.lines)
			}
		}
	}
	return p.String()
}
