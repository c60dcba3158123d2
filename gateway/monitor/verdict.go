package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/drift"
)

const (
	// clearAfter is how many windows in a row must not alarm before an alarm is
	// cleared, so that one which lasts is one alarm.
	clearAfter = 3
	// maxUnsent bounds the alarms that wait to be sent; the oldest go.
	maxUnsent = 64
	// unsentKept is how long it is tried to send one.
	unsentKept = 24 * time.Hour
)

// verdict is a report that is being brought up to date.
type verdict struct {
	watch   *watch
	report  *configs.DriftReport
	counts  []configs.DriftCounts
	now     time.Time
	log     *slog.Logger
	changed bool
	// events are the changes of alarms, told once the report is written.
	events []configs.DriftEvent
}

// tidy drops what belongs to versions that the document has no more, and to a
// rollout that is over.
func (v *verdict) tidy() {
	wanted := func(version, reference string) bool {
		if reference == configs.CompareControl && v.watch.Canary != version {
			return false
		}
		return slices.Contains(v.watch.Named, version) && slices.Contains(v.watch.Drift.Compare, reference)
	}
	for name := range v.report.Windows {
		if name == configs.DriftControl && v.watch.Canary != "" || name != configs.DriftControl && slices.Contains(v.watch.Named, versionOf(name)) {
			continue
		}
		delete(v.report.Windows, name)
		v.changed = true
	}
	v.report.Comparisons = slices.DeleteFunc(v.report.Comparisons, func(c configs.DriftComparison) bool {
		if wanted(c.Version, c.Reference) {
			return false
		}
		v.changed = true
		v.clear(&c)
		return true
	})
}

// stream judges the window that a stream is at, if that is full.
func (v *verdict) stream(s stream, streams int) {
	at, known := v.report.Windows[s.name]
	if !known || at.Basis != s.basis {
		v.report.Comparisons = slices.DeleteFunc(v.report.Comparisons, func(c configs.DriftComparison) bool {
			if c.Version != s.versions[0] || !slices.Contains(s.references, c.Reference) {
				return false
			}
			v.clear(&c)
			return true
		})
		v.begin(s, at.Number)
		return
	}
	windows := make([]*drift.Window, len(s.versions))
	samples := uint64(v.watch.Drift.Window.Samples)
	for i, version := range s.versions {
		windows[i] = v.merged(s, version)
		samples = min(samples, windows[i].Rows())
	}
	if samples < uint64(v.watch.Drift.Window.Samples) && v.now.Sub(at.Started) < time.Duration(v.watch.Drift.Window.Time) {
		return
	}
	for _, reference := range s.references {
		v.compare(s, reference, windows, at.Started, streams)
	}
	v.begin(s, at.Number)
}

// begin begins the window after one.
func (v *verdict) begin(s stream, number uint64) {
	v.report.Windows[s.name] = configs.DriftWindowAt{Number: number + 1, Basis: s.basis, Started: v.now}
	v.changed = true
}

// compare judges one full window against one reference.
func (v *verdict) compare(s stream, reference string, windows []*drift.Window, began time.Time, streams int) {
	version, against := s.versions[0], s.versions[len(s.versions)-1]
	c := v.report.Comparison(version, reference)
	if c == nil {
		v.report.Comparisons = append(v.report.Comparisons, configs.DriftComparison{Version: version, Reference: reference})
		slices.SortFunc(v.report.Comparisons, func(a, b configs.DriftComparison) int {
			if a.Version != b.Version {
				return configs.CompareVersions(a.Version, b.Version)
			}
			return slices.Index(references, a.Reference) - slices.Index(references, b.Reference)
		})
		c = v.report.Comparison(version, reference)
	}
	c.Against, c.From, c.To, c.Samples, c.Insufficient = against, began, v.now, windows[0].Rows(), ""
	comparison := drift.Comparison{Window: windows[0], Policy: v.policy(len(s.references)*streams, v.now.Sub(began))}
	switch reference {
	case configs.CompareControl:
		comparison.Reference = windows[1]
	case configs.CompareLastWeek:
		comparison.Reference = v.past(s, func(part configs.DriftStream) []byte { return part.LastWeek })
		if comparison.Reference.Rows() == 0 {
			c.Insufficient = "nothing was counted in the same hours a week ago"
			return
		}
	default:
		v.day(s, c)
	}
	if c.State != nil && json.Unmarshal(c.State, &comparison.State) != nil {
		comparison.State = nil
	}
	result, state := drift.Judge(comparison)
	encoded, err := json.Marshal(result)
	remembered, stateErr := json.Marshal(state)
	if err = errors.Join(err, stateErr); err != nil {
		c.Insufficient = "not judged: " + err.Error()
		v.log.Error("drift is not judged", "model", v.watch.Name, "version", version, "compared_with", reference, "error", err)
		return
	}
	// Few samples may tell of rates, and add up with those of other windows.
	c.State = remembered
	if result.Insufficient {
		c.Insufficient = fmt.Sprintf("%d samples, too few to judge: about %d more were needed", c.Samples, result.Needed)
		return
	}
	c.Result = encoded
	v.alarm(c, &result)
}

// references in the order of reports.
var references = []string{configs.CompareTraining, configs.CompareLastWeek, configs.CompareControl}

// policy spends the false alarms that are accepted evenly on all comparisons of
// the model.
func (v *verdict) policy(comparisons int, elapsed time.Duration) drift.Policy {
	d := v.watch.Drift
	p := drift.DefaultPolicy()
	p.FalseAlarmsPerMonth = d.FalseAlarmsPerMonth / float64(max(1, comparisons))
	p.Elapsed, p.MinSamples, p.MinPSI = max(elapsed, time.Second), d.Window.Least(), *d.Effect
	if *d.Effect == 0 {
		p.MinRate = 0
	}
	return p
}

// day judges the last 24 hours, for display.
func (v *verdict) day(s stream, c *configs.DriftComparison) {
	c.Day = nil
	sum := v.past(s, func(part configs.DriftStream) []byte { return part.Day })
	if result, _ := drift.Judge(drift.Comparison{Window: sum, Policy: v.policy(1, hoursOfDay*time.Hour)}); !result.Insufficient {
		if encoded, err := json.Marshal(result); err == nil {
			c.Day = encoded
		}
	}
}

// alarm raises, keeps or clears the alarm of a comparison.
func (v *verdict) alarm(c *configs.DriftComparison, result *drift.Report) {
	if !result.Alarm {
		if c.Alarm == nil {
			return
		}
		if c.Quiet++; c.Quiet >= clearAfter {
			v.clear(c)
		}
		return
	}
	var features []string
	for _, f := range result.Features {
		if f.Alarm {
			features = append(features, f.Name)
		}
	}
	c.Quiet = 0
	if c.Alarm != nil {
		c.Alarm.Features = features
		return
	}
	id := fmt.Sprintf("%s.%s.%s.%d", v.watch.Name, c.Version, c.Reference, v.now.UnixMilli())
	c.Alarm = &configs.DriftAlarm{ID: id, Since: v.now, Features: features}
	v.event(c, configs.DriftRaised)
}

// clear ends the alarm of a comparison, if there is one.
func (v *verdict) clear(c *configs.DriftComparison) {
	if c.Alarm == nil {
		return
	}
	v.event(c, configs.DriftCleared)
	c.Alarm, c.Quiet = nil, 0
}

// event notes that an alarm was raised or cleared.
func (v *verdict) event(c *configs.DriftComparison, kind string) {
	e := configs.DriftEvent{
		ID: c.Alarm.ID + "." + kind, Kind: kind, At: v.now, Version: c.Version, Against: c.Against, Reference: c.Reference,
		Features: c.Alarm.Features, Samples: c.Samples,
	}
	v.events = append(v.events, e)
	if v.watch.Drift.Alarms.Webhook != "" {
		v.report.Unsent = append(v.report.Unsent, e)
		v.report.Unsent = v.report.Unsent[max(0, len(v.report.Unsent)-maxUnsent):]
	}
}

// sent takes events out of those that are to be sent.
func (v *verdict) sent(ids map[string]struct{}) {
	before := len(v.report.Unsent)
	v.report.Unsent = slices.DeleteFunc(v.report.Unsent, func(e configs.DriftEvent) bool {
		_, gone := ids[e.ID]
		return gone || v.watch.Drift.Alarms.Webhook == "" || v.now.Sub(e.At) > unsentKept
	})
	v.changed = v.changed || len(v.report.Unsent) != before
}

// tell logs what changed, once it is written.
func (v *verdict) tell() {
	for _, e := range v.events {
		v.log.Warn("drift alarm "+e.Kind, "model", v.watch.Name, "version", e.Version, "compared_with", e.Reference, "against", e.Against,
			"features", e.Features, "samples", e.Samples, "alarm", e.ID)
	}
}
