package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/segue-serving/segue/configs"
)

// rolloutView is a model's rollout as the fleet sees it.
type rolloutView struct {
	Model string `json:"model"`
	// RolloutStatus is that of the gateway that is furthest on and knows most.
	configs.RolloutStatus
	// Following counts the gateways that are in the same phase and step, of
	// Gateways that have the rollout in force.
	Following int `json:"following"`
	Gateways  int `json:"gateways"`
	// Weights are the canary's percent by step, where the document in the store
	// is the rollout's.
	Weights []float64 `json:"weights,omitempty"`
	// Pauses are the positions of steps that wait for a person.
	Pauses []int `json:"pauses,omitempty"`
	// now is when it was looked at, for texts.
	now time.Time
}

// viewOf is the view of a model's rollout, nil where no gateway has one.
func viewOf(gateways []configs.GatewayStatus, model string) *rolloutView {
	var v *rolloutView
	for _, gateway := range gateways {
		r := gateway.Models[model].Rollout
		if r == nil {
			continue
		}
		if v == nil {
			v = &rolloutView{Model: model, RolloutStatus: *r}
		} else if r.Since.After(v.Since) || r.Since.Equal(v.Since) && units(r.Guards) > units(v.Guards) {
			v.RolloutStatus = *r
		}
		v.Gateways++
	}
	for _, gateway := range gateways {
		r := gateway.Models[model].Rollout
		if r != nil && r.ID == v.ID && r.Phase == v.Phase && r.Step == v.Step {
			v.Following++
		}
	}
	return v
}

func units(guards []configs.GuardEvidence) int {
	sum := 0
	for _, g := range guards {
		sum += g.Units + g.StableUnits
	}
	return sum
}

// rollouts are the views of all models that have a rollout, by name.
func rollouts(gateways []configs.GatewayStatus, want wanted, now time.Time) []rolloutView {
	names := map[string]bool{}
	for _, gateway := range gateways {
		for name, m := range gateway.Models {
			names[name] = names[name] || m.Rollout != nil
		}
	}
	var views []rolloutView
	for _, name := range sortedVersions(names) {
		v := viewOf(gateways, name)
		if v == nil {
			continue
		}
		v.now = now
		if doc := want[name].doc; doc != nil && doc.Rollout != nil && len(doc.Rollout.Steps) == v.Steps {
			for i, step := range doc.Rollout.Steps {
				v.Weights = append(v.Weights, step.Weight)
				if step.Pause {
					v.Pauses = append(v.Pauses, i)
				}
			}
		}
		views = append(views, *v)
	}
	return views
}

// writeText draws the rollout: where it stands, the steps, a line per guard,
// and what is missing.
func (v *rolloutView) writeText(w io.Writer) {
	head := fmt.Sprintf("%s: rollout %s → %s: %s", v.Model, v.Stable, v.Canary, v.Describe())
	if !v.Since.IsZero() {
		head += " for " + span(v.now.Sub(v.Since))
	}
	if v.Following < v.Gateways {
		head += fmt.Sprintf(", on %d of %d gateways", v.Following, v.Gateways)
	}
	fmt.Fprintln(w, head)
	if len(v.Weights) > 0 {
		fmt.Fprintln(w, "  "+v.stepBar())
	}
	if len(v.Guards) > 0 {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "  GUARD\tWORSE: ln E\t\tGOOD: ln E\t\tCANARY\tSTABLE")
		for _, g := range v.Guards {
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", g.Name, bar(g.LnE, g.Threshold), ratio(g.LnE, g.Threshold),
				bar(g.PromoteLnE, g.PromoteThreshold), ratio(g.PromoteLnE, g.PromoteThreshold), counts(g.Events, g.Units), counts(g.StableEvents, g.StableUnits))
		}
		table.Flush()
	}
	for _, line := range v.notes() {
		fmt.Fprintln(w, "  "+line)
	}
}

// notes say what the rollout waits for and who decided last.
func (v *rolloutView) notes() []string {
	var notes []string
	if v.Waits {
		notes = append(notes, fmt.Sprintf("waits for a person: seguectl resume %s, or promote", v.Model))
	}
	if v.StableQuality != nil || v.CanaryQuality != nil {
		notes = append(notes, fmt.Sprintf("feedback: stable %s; canary %s", qualityText(v.StableQuality), qualityText(v.CanaryQuality)))
	}
	if v.Verdict != "" {
		notes = append(notes, "verdict: "+v.Verdict)
	}
	for i, missing := range v.Missing {
		lead := "missing: "
		if i > 0 {
			lead = "         "
		}
		notes = append(notes, lead+oneLine(missing))
	}
	if v.By != "" {
		notes = append(notes, fmt.Sprintf("decided by %s (%s)", v.By, oneLine(v.Reason)))
	}
	if v.Behind {
		notes = append(notes, fmt.Sprintf("the document is behind: seguectl get %s --effective prints the one to commit", v.Model))
	}
	return notes
}

// stepBar is the way of the rollout: ━ is behind it, ─ before it, and the step
// that it is at stands in brackets: 1% ━━ 10% ━━ [50%] ── 90% ⏸ ── 100%.
func (v *rolloutView) stepBar() string {
	at := v.Step
	stops := make([]string, 0, len(v.Weights)+2)
	for i, weight := range v.Weights {
		stop := number(weight) + "%"
		if slices.Contains(v.Pauses, i) {
			stop += " ⏸"
		}
		stops = append(stops, stop)
	}
	stops = append(stops, "100%")
	switch v.Phase {
	case configs.PhasePromoted:
		at = len(stops) - 1
	case configs.PhaseRolledBack:
		return strings.Join(stops[:at+1], " ━━ ") + " ✗ " + strings.Join(stops[at+1:], " ── ")
	case configs.PhaseShadow:
		stops, at = append([]string{"shadow"}, stops...), 0
	case "":
		return strings.Join(stops, " ── ")
	}
	var b strings.Builder
	for i, stop := range stops {
		switch {
		case i == 0:
		case i <= at:
			b.WriteString(" ━━ ")
		default:
			b.WriteString(" ── ")
		}
		if i == at {
			stop = "[" + stop + "]"
		}
		b.WriteString(stop)
	}
	return b.String()
}

// barWidth is how many characters a bar of evidence has.
const barWidth = 12

// bar draws how far evidence is from its threshold, in eighths of a character.
// Evidence below 0 speaks for the other side and draws nothing.
func bar(value, threshold float64) string {
	if threshold <= 0 {
		return ""
	}
	eighths := int(math.Round(8 * barWidth * max(0, min(1, value/threshold))))
	text := strings.Repeat("█", eighths/8)
	if part := eighths % 8; part > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[part-1])
	}
	return text + strings.Repeat("·", barWidth-len([]rune(text)))
}

func ratio(value, threshold float64) string {
	if threshold <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f of %.1f", math.Round(value*10)/10+0, threshold) // + 0: no -0.0
}

// counts are bad events among units, - where nothing is counted.
func counts(events, units int) string {
	if units == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", events, units)
}

// span is a length of time for people: 42s, 14m, 3h20m, 2d4h.
func span(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
