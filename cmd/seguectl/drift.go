package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/drift"
)

// topFeatures is how many features of a comparison are shown unless asked for.
const topFeatures = 8

func (c *cli) driftCommand() *cobra.Command {
	var o driftOptions
	cmd := &cobra.Command{
		Use:   "drift MODEL",
		Short: "Show how far a model's requests and answers have drifted",
		Long: `Show the newest judgement of the fleet on each version of a model against each
reference: the features that differ most, whether surely (p) and by how much
(PSI), in which direction, and how reference and window are distributed. A
feature marked ! alarms. Histograms are as wide as the terminal allows.

The exit code is 0 also where an alarm stands; with --exit-code it is 5 then.`,
		Example: `  seguectl drift mozart
  seguectl drift mozart --version 2 --features 30
  seguectl drift mozart --exit-code --json > drift.json`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			if err := checkModelName(args[0]); err != nil {
				return nil, err
			}
			if o.features < 0 {
				return nil, usageError{fmt.Errorf("--features %d is negative", o.features)}
			}
			return c.with(ctx, func(s *source) (report, error) { return c.drift(ctx, s, args[0], o) })
		}),
	}
	cmd.Flags().StringVar(&o.version, "version", "", "show this version only")
	cmd.Flags().IntVar(&o.features, "features", topFeatures, "show so many features of each comparison; those that alarm are always shown")
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with 5 where an alarm stands")
	return cmd
}

type driftOptions struct {
	version  string
	features int
	exitCode bool
}

// driftReport is what seguectl drift found.
type driftReport struct {
	Model string `json:"model"`
	// Alarm reports that an alarm stands.
	Alarm bool `json:"alarm"`
	// At is when the report was written, By the gateway that did.
	At time.Time `json:"at,omitzero"`
	By string    `json:"by,omitempty"`
	// Comparisons are the newest judgements.
	Comparisons []driftComparison `json:"comparisons"`
	// Off says by gateway and version why it is not compared.
	Off map[string]map[string]string `json:"off,omitempty"`

	features, width int
	colour          bool
	now             time.Time
}

// driftComparison is a comparison with its judgement, nil before the first.
type driftComparison struct {
	configs.DriftComparison
	Result *drift.Report `json:"result"`
	Day    *drift.Report `json:"day,omitempty"`
	// State is what gateways remember; it is of no use to others.
	State any `json:"state,omitempty"`
}

func (c *cli) drift(ctx context.Context, s *source, model string, o driftOptions) (report, error) {
	if err := s.mustBeKnown(ctx, model); err != nil {
		return nil, err
	}
	stored, err := configs.GetDriftReport(ctx, s, model)
	if err != nil {
		return nil, err
	}
	r := &driftReport{Model: model, Comparisons: []driftComparison{}, features: o.features, width: c.width(), colour: c.colour(), now: c.now()}
	if r.Off, err = s.driftOff(ctx, model, o.version); err != nil {
		return nil, err
	}
	if stored != nil {
		r.At, r.By = stored.At, stored.By
		for _, comparison := range stored.Comparisons {
			if o.version != "" && comparison.Version != o.version {
				continue
			}
			r.Alarm = r.Alarm || comparison.Alarm != nil
			r.Comparisons = append(r.Comparisons, driftComparison{DriftComparison: comparison, Result: judgementOf(comparison.Result), Day: judgementOf(comparison.Day)})
		}
	}
	if r.Alarm && o.exitCode {
		return r, errChanges
	}
	return r, nil
}

// judgementOf reads a judgement, nil where there is none.
func judgementOf(text json.RawMessage) *drift.Report {
	var r drift.Report
	if len(text) == 0 || json.Unmarshal(text, &r) != nil {
		return nil
	}
	return &r
}

// driftOff says why versions are not compared, by gateway.
func (s *source) driftOff(ctx context.Context, model, version string) (map[string]map[string]string, error) {
	gateways, err := s.gateways(ctx)
	if err != nil {
		return nil, err
	}
	off := map[string]map[string]string{}
	for _, g := range gateways {
		for name, v := range g.Models[model].Versions {
			if v.Drift == nil || v.Drift.Off == "" || version != "" && name != version {
				continue
			}
			if off[g.Instance] == nil {
				off[g.Instance] = map[string]string{}
			}
			off[g.Instance][name] = v.Drift.Off
		}
	}
	if len(off) == 0 {
		return nil, nil
	}
	return off, nil
}

func (r *driftReport) writeText(w io.Writer) {
	if len(r.Comparisons) == 0 && len(r.Off) == 0 {
		fmt.Fprintf(w, "%s: nothing has been judged yet\n", r.Model)
	}
	for i := range r.Comparisons {
		if i > 0 {
			fmt.Fprintln(w)
		}
		r.writeComparison(w, &r.Comparisons[i])
	}
	for _, instance := range slices.Sorted(maps.Keys(r.Off)) {
		for _, version := range slices.Sorted(maps.Keys(r.Off[instance])) {
			fmt.Fprintf(w, "%s: version %s is not compared by %s: %s\n", r.Model, version, instance, r.Off[instance][version])
		}
	}
}

func (r *driftReport) writeComparison(w io.Writer, c *driftComparison) {
	against := map[string]string{configs.CompareTraining: "its training profile", configs.CompareLastWeek: "the same hours a week ago",
		configs.CompareControl: "version " + c.Against + " at the same time"}[c.Reference]
	fmt.Fprintf(w, "%s: version %s against %s: ", r.Model, c.Version, against)
	if c.Alarm != nil {
		fmt.Fprintln(w, r.red("drift for "+span(r.now.Sub(c.Alarm.Since)))+": "+strings.Join(c.Alarm.Features, ", "))
	} else {
		fmt.Fprintln(w, "no drift")
	}
	fmt.Fprintf(w, "  window of %s, ended %s ago: %d samples", span(c.To.Sub(c.From)), span(r.now.Sub(c.To)), c.Samples)
	if c.Insufficient != "" {
		fmt.Fprintf(w, "; not judged: %s", c.Insufficient)
	}
	fmt.Fprintln(w)
	if c.Result == nil {
		return
	}
	if a := c.Result.Accuracy; a != nil {
		fmt.Fprintf(w, "  expected accuracy %.3f ± %.3f, in the reference %.3f\n", a.Expected, 2*a.Error, a.Reference)
	}
	r.writeFeatures(w, c.Result.Features)
}

func (r *driftReport) writeFeatures(w io.Writer, features []drift.FeatureReport) {
	var shown []drift.FeatureReport
	name := len("FEATURE")
	for i, f := range features {
		if i < r.features || f.Alarm {
			shown = append(shown, f)
			name = max(name, len([]rune(f.Name)))
		}
	}
	// What the other columns take is left out of the histograms' width.
	most := max(4, (r.width-name-48)/2)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  \tFEATURE\tP\tPSI\tCHANGE\tREFERENCE\tWINDOW")
	for _, f := range shown {
		mark := " "
		if f.Alarm {
			mark = "!"
		}
		before, after := histograms(f.Histogram, most)
		p, psi := "-", "-"
		if !f.Insufficient {
			p, psi = probability(f.P), fmt.Sprintf("%.3f", f.PSI)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", mark, f.Name, p, psi, changeOf(&f), before, after)
	}
	_ = t.Flush() // fails where w does, and then so does every other line
	if left := len(features) - len(shown); left > 0 {
		fmt.Fprintf(w, "  and %d features more\n", left)
	}
}

// probability is a p-value for people.
func probability(p float64) string {
	if p >= 0.001 {
		return strconv.FormatFloat(p, 'f', 3, 64)
	}
	return strconv.FormatFloat(p, 'e', 0, 64)
}

// changeOf says in words how a feature differs: what alarms, or the direction.
func changeOf(f *drift.FeatureReport) string {
	for _, rate := range f.Rates {
		if rate.Alarm {
			return fmt.Sprintf("%s %s → %s %%", rate.Rate, inPercent(rate.Reference), inPercent(rate.Window))
		}
	}
	switch f.Direction {
	case "more", "less":
		return f.Direction + " of " + clipText(f.Bin, 20)
	}
	return f.Direction
}

func inPercent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) }

func clipText(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

// histograms draw both sides in as many characters at most; more bins than that
// share characters. Heights are to one scale.
func histograms(bars []drift.Bar, most int) (before, after string) {
	if len(bars) == 0 {
		return "", ""
	}
	each := (len(bars) + most - 1) / most
	var left, right []float64
	highest := 0.0
	for i, b := range bars {
		if i%each == 0 {
			left, right = append(left, 0), append(right, 0)
		}
		left[len(left)-1] += b.Reference
		right[len(right)-1] += b.Window
	}
	for i := range left {
		highest = max(highest, left[i], right[i])
	}
	return columns(left, highest), columns(right, highest)
}

// columns draws shares as columns of up to eight eighths; one of 0 is a blank.
func columns(shares []float64, highest float64) string {
	heights := []rune(" ▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, s := range shares {
		eighths := 0
		if highest > 0 {
			eighths = int(math.Ceil(8 * s / highest))
		}
		b.WriteRune(heights[min(max(eighths, 0), 8)])
	}
	return b.String()
}

func (r *driftReport) red(text string) string {
	if !r.colour {
		return text
	}
	return "\x1b[31m" + text + "\x1b[0m"
}
