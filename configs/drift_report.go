package configs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// DriftReport is what one gateway of a fleet found for a model, for all of them
// to show: the newest judgement of each comparison, the alarms that stand, and
// at which window each stream is. It is written by check-and-set.
type DriftReport struct {
	Model string `json:"model"`
	// Index is the index in the store at which it was read or written.
	Index uint64 `json:"-"`
	// At is when it was written, By the gateway that did.
	At time.Time `json:"at"`
	By string    `json:"by"`
	// Windows say where each stream is, by its name.
	Windows map[string]DriftWindowAt `json:"windows"`
	// Comparisons are the newest judgements, in order of version and reference.
	Comparisons []DriftComparison `json:"comparisons"`
	// Unsent are alarms of which nobody has been told yet who must be.
	Unsent []DriftEvent `json:"unsent,omitempty"`
}

// DriftWindowAt is the window that a stream is at.
type DriftWindowAt struct {
	Number uint64 `json:"number"`
	// Basis tells windows of one stream apart whose counts do not add up: of
	// another artifact, or other features.
	Basis   string    `json:"basis"`
	Started time.Time `json:"started"`
}

// DriftComparison is the newest judgement of one version against one reference.
type DriftComparison struct {
	// Version is what was compared, Against the version that stood for the
	// reference (its own profile and last week: the same one).
	Version string `json:"version"`
	Against string `json:"against"`
	// Reference is training, last_week or control.
	Reference string `json:"reference"`
	// From and To bound the window, Samples is how many the fleet had in it.
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Samples uint64    `json:"samples"`
	// Insufficient says why the window was not judged; empty where it was. Then
	// Result is that of the window before, if any.
	Insufficient string `json:"insufficient,omitempty"`
	// Alarm is the alarm that stands, nil where none does.
	Alarm *DriftAlarm `json:"alarm,omitempty"`
	// Quiet counts the windows in a row that would not have raised the alarm.
	Quiet int `json:"quiet,omitempty"`
	// State is what the next judgement of the comparison wants to know of those
	// before.
	State json.RawMessage `json:"state,omitempty"`
	// Result is the judgement in the words of package drift.
	Result json.RawMessage `json:"result,omitempty"`
	// Day is the judgement of the last 24 hours, which raises no alarm.
	Day json.RawMessage `json:"day,omitempty"`
}

// DriftAlarm is an alarm that stands: one for an episode, however many windows
// it lasts.
type DriftAlarm struct {
	// ID names the episode.
	ID string `json:"id"`
	// Since is the end of the window that raised it.
	Since time.Time `json:"since"`
	// Features have changed, the most changed first.
	Features []string `json:"features"`
}

// DriftEvent is a change of an alarm that somebody is to be told of.
type DriftEvent struct {
	// ID is unique, and the same however often the event is sent.
	ID string `json:"id"`
	// Kind is DriftRaised or DriftCleared.
	Kind      string    `json:"kind"`
	At        time.Time `json:"at"`
	Version   string    `json:"version"`
	Against   string    `json:"against"`
	Reference string    `json:"reference"`
	// Features have changed, the most changed first.
	Features []string `json:"features"`
	Samples  uint64   `json:"samples"`
}

// Kinds of a DriftEvent.
const (
	DriftRaised  = "raised"
	DriftCleared = "cleared"
)

// Key is the report's key in the store.
func (r *DriftReport) Key() string { return DriftPrefix + r.Model + "/" + driftReportName }

// PutDriftReport writes a report over the one that was read, and returns the
// new index. ErrConflict says that another gateway wrote first.
func PutDriftReport(ctx context.Context, store Store, r *DriftReport) (uint64, error) {
	index, err := putDrift(ctx, store, r.Key(), r, r.Index)
	if err != nil {
		return 0, fmt.Errorf("drift report of %s: %w", r.Model, err)
	}
	return index, nil
}

// GetDriftReport reads a model's report, nil where there is none.
func GetDriftReport(ctx context.Context, store Store, model string) (*DriftReport, error) {
	item, ok, err := store.Get(ctx, (&DriftReport{Model: model}).Key())
	if err != nil || !ok {
		return nil, err
	}
	return parseDriftReport(item, model), nil
}

// parseDriftReport makes an empty report of what is none, to be written over.
func parseDriftReport(item Item, model string) *DriftReport {
	r := &DriftReport{}
	if json.Unmarshal(item.Value, r) != nil {
		r = &DriftReport{}
	}
	r.Model, r.Index = model, item.Index
	if r.Windows == nil {
		r.Windows = map[string]DriftWindowAt{}
	}
	return r
}

// Comparison is the newest judgement of a version against a reference, nil
// where there is none.
func (r *DriftReport) Comparison(version, reference string) *DriftComparison {
	for i := range r.Comparisons {
		if c := &r.Comparisons[i]; c.Version == version && c.Reference == reference {
			return c
		}
	}
	return nil
}
