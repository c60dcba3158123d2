package report

import (
	"fmt"
	"strings"
)

// page is Markdown as it grows.
type page struct{ strings.Builder }

func (p *page) say(format string, arguments ...any) { fmt.Fprintf(p, format+"\n", arguments...) }

// table writes a row of cells, and under the first row the line that makes it
// a head.
func (p *page) table(rows ...[]string) {
	for i, row := range rows {
		p.say("| %s |", strings.Join(row, " | "))
		if i == 0 {
			p.say("|%s", strings.Repeat("---|", len(row)))
		}
	}
	p.say("")
}

func (p *page) list(lines []string) {
	for _, line := range lines {
		p.say("- %s", line)
	}
	p.say("")
}

// spread writes a median with its rounds.
func spread(s Spread) string {
	return fmt.Sprintf("%s (%s–%s)", short(s.Median), short(s.Min), short(s.Max))
}

// Markdown writes a result as a page.
func Markdown(r *Result) string {
	p := &page{}
	p.say("# %s\n", r.Title)
	p.say("![%s](%s.svg)\n", r.Title, r.Scenario)
	switch {
	case r.Changes != nil:
		changesPage(p, r)
	case r.Offered != nil:
		offeredPage(p, r)
	default:
		throughputPage(p, r)
	}
	aimsPart(p, r)
	failuresPart(p, r)
	missingPart(p, r)
	setupPart(p, r)
	return p.String()
}

func failuresPart(p *page, r *Result) {
	p.say("## Requests that failed\n")
	if len(r.Failures) == 0 {
		p.say("None. Every answer was checked.\n")
		return
	}
	p.list(r.Failures)
}

func missingPart(p *page, r *Result) {
	if len(r.Missing) == 0 {
		return
	}
	p.say("## Rounds without figures\n")
	p.list(r.Missing)
	p.say("No failed request is the reason: those are listed above. The figures of these contenders are of their other rounds.\n")
}

// How few rounds and how many cores taken by others make figures doubtful. The
// kernel's own work for the loopback counts as that of others, too.
const (
	fewestRounds = 4
	muchOfOthers = 0.25
)

func setupPart(p *page, r *Result) {
	s := r.Setup
	p.say("## Where and how\n")
	rows := [][]string{
		{"", ""},
		{"command", "`" + s.Command + "`"},
		{"commit", s.Commit},
		{"started", fmt.Sprintf("%s, took %s s", s.Started.Format("2006-01-02 15:04:05 MST"), trimmed(s.TookSeconds))},
		{"machine", fmt.Sprintf("%s, %d cores, %d MiB of memory, %s", s.Machine.CPU, s.Machine.Cores, s.Machine.MemoryMiB, s.Machine.Kernel)},
		{"load average at the start", s.LoadAverage},
	}
	for _, v := range s.Versions {
		rows = append(rows, []string{v.Part, v.Version})
	}
	p.table(rows...)
	p.say("Client and server share one machine and talk over its loopback or a Unix socket; no network is measured, and the client takes")
	p.say("CPU time that the server then lacks. Figures are medians of %d rounds of %s s with the least and the largest round in brackets;",
		s.Rounds, short(s.RoundSeconds))
	p.say("everything is measured once in each round, in an order that moves on from round to round. Ratios are taken within a round.")
	if s.Rounds < fewestRounds {
		p.say("**Fewer than %d rounds: a try, not a result.**", fewestRounds)
	}
	if others := r.othersMost(); others > muchOfOthers {
		p.say("**Other programs took up to %s cores while this was measured: the figures are disturbed.**", short(others))
	}
}

// othersMost is the most that other programs took in any measurement.
func (r *Result) othersMost() float64 {
	most := 0.0
	if r.Changes != nil {
		for i := range r.Changes.Phases {
			most = max(most, over(r.Changes.Phases[i].Rounds, func(r *PhaseRound) float64 { return r.Cores.Others }).Max)
		}
	}
	if r.Offered != nil {
		for _, s := range r.Offered.Series {
			for _, p := range s.Points {
				most = max(most, over(p.Rounds, func(r *OfferedRound) float64 { return r.Cores.Others }).Max)
			}
		}
	}
	if r.Throughput != nil {
		for _, m := range r.Throughput.Models {
			for _, c := range m.Contenders {
				most = max(most, over(c.Rounds, func(r *ThroughputRound) float64 { return r.Cores.Others }).Max)
			}
		}
	}
	return most
}
