package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
)

// rolloutPlan is what a document's rollout would do, and what it takes.
type rolloutPlan struct {
	// Change is what putting the document does: "begins", "begins anew" (the
	// rollout that is stored is another one), "goes on" or "ends" (the document
	// has none any more).
	Change string `json:"change"`
	// Standing is how far the stored rollout has come, in words.
	Standing string `json:"standing,omitempty"`
	// Rate and Bad are what is assumed: requests a second, 0 for unknown, and
	// the share of them that goes wrong with stable.
	Rate float64 `json:"rate,omitempty"`
	Bad  float64 `json:"bad"`
	// Unit is what is counted: "requests" of the canary, or its "callers" where
	// traffic is sticky.
	Unit  string         `json:"unit"`
	Steps []stepForecast `json:"steps,omitempty"`
}

// stepForecast is what one step takes in the median, by simulation.
type stepForecast struct {
	// Step counts from 1; 0 is the shadow phase.
	Step   int     `json:"step"`
	Weight float64 `json:"weight"`
	// Clean is how many units without a bad event let the step go, Typical how
	// many a canary as good as stable takes; null where it is none to be
	// expected.
	Clean   *int `json:"clean"`
	Typical *int `json:"typical"`
	// Seconds is how long that takes, min_time included and pauses not.
	Seconds *float64    `json:"seconds,omitempty"`
	Detects []detection `json:"detects,omitempty"`
}

// detection is how soon a worse canary is taken back.
type detection struct {
	// Times is the ratio of the canary's bad events to stable's; null is a
	// canary that always fails.
	Times   *float64 `json:"times"`
	Units   *int     `json:"units"`
	Seconds *float64 `json:"seconds,omitempty"`
}

// planRollout says what the rollout after means for what is stored; nil where
// there is none on either side.
func planRollout(before, after *configs.Document, override *configs.Override, now time.Time, traffic rollout.Traffic) (*rolloutPlan, error) {
	p := &rolloutPlan{Change: "begins", Rate: traffic.Rate, Bad: traffic.Bad, Unit: "requests"}
	if before != nil && before.Rollout != nil {
		p.Standing = before.Steer(override, configs.LatestVersion, now).Rollout.Describe(before.Rollout)
		p.Change = "begins anew"
	}
	switch {
	case after.Rollout == nil && p.Standing == "":
		return nil, nil
	case after.Rollout == nil:
		p.Change = "ends"
		return p, nil
	case before != nil && before.Basis() == after.Basis():
		p.Change = "goes on"
	}
	if after.Traffic.Sticky.Header != "" {
		p.Unit = "callers"
	}
	plan, err := rollout.Compile("plan", after.Rollout.WithDefaults())
	if err != nil {
		return nil, err
	}
	traffic.Copies = after.Traffic.Shadow[after.Rollout.Canary] / 100
	for _, f := range plan.Forecast(traffic) {
		step := stepForecast{Step: f.Step + 1, Clean: count(f.Clean), Typical: count(f.Typical), Weight: 100 * f.Share, Seconds: seconds(f.Time, traffic.Rate)}
		for _, d := range f.Detect {
			found := detection{Units: count(d.Units), Seconds: seconds(d.Within, traffic.Rate)}
			if !math.IsInf(d.Ratio, 1) {
				found.Times = &d.Ratio
			}
			step.Detects = append(step.Detects, found)
		}
		p.Steps = append(p.Steps, step)
	}
	return p, nil
}

func count(units int) *int {
	if units < 0 {
		return nil
	}
	return &units
}

func seconds(d time.Duration, rate float64) *float64 {
	if d < 0 || rate <= 0 {
		return nil
	}
	s := math.Round(d.Seconds())
	return &s
}

func (p *rolloutPlan) writeText(w io.Writer) {
	if p == nil {
		return
	}
	head := "  rollout " + p.Change
	if p.Standing != "" {
		head += " (now: " + p.Standing + ")"
	}
	fmt.Fprintln(w, head)
	if len(p.Steps) == 0 {
		return
	}
	fmt.Fprintf(w, "  %s of the canary until a verdict, in the median, if %s of stable's go wrong (--bad)", p.Unit, percent(p.Bad))
	if p.Rate > 0 {
		fmt.Fprintf(w, " and there are %s a second (--rate):\n", number(p.Rate))
	} else {
		fmt.Fprint(w, "; --rate adds the time:\n")
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "  STEP\tWEIGHT\tGO ON\tBACK:")
	for _, d := range p.Steps[len(p.Steps)-1].Detects {
		if d.Times == nil {
			fmt.Fprint(table, " ALWAYS FAILS")
		} else {
			fmt.Fprintf(table, "\t%s× AS BAD", number(*d.Times))
		}
	}
	fmt.Fprintln(table)
	for _, s := range p.Steps {
		name := fmt.Sprint(s.Step)
		if s.Step == 0 {
			name = "shadow"
		}
		fmt.Fprintf(table, "  %s\t%s%%\t%s", name, number(s.Weight), verdictText(s.Typical, s.Seconds))
		for _, d := range s.Detects {
			fmt.Fprintf(table, "\t%s", verdictText(d.Units, d.Seconds))
		}
		fmt.Fprintln(table)
	}
	table.Flush()
}

func verdictText(units *int, seconds *float64) string {
	if units == nil {
		return "never"
	}
	text := fmt.Sprint(*units)
	if seconds != nil {
		text += fmt.Sprintf(" (%s)", span(time.Duration(*seconds*float64(time.Second))))
	}
	return text
}
