package monitor

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/drift"
)

// shown is a report as status and metrics show it.
type shown struct {
	report *configs.DriftReport
	// judged are the judgements of the report, read, in its order; nil where
	// there is none yet.
	judged []*drift.Report
}

// show makes a report the one that is shown. A report must not be changed from
// then on.
func (m *Monitor) show(report *configs.DriftReport) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.shown[report.Model]; old != nil && old.report.Index == report.Index {
		return
	}
	s := &shown{report: report, judged: make([]*drift.Report, len(report.Comparisons))}
	for i, c := range report.Comparisons {
		var r drift.Report
		if len(c.Result) > 0 && json.Unmarshal(c.Result, &r) == nil {
			s.judged[i] = &r
		}
	}
	next := maps.Clone(m.shown)
	next[report.Model] = s
	m.shown = next
	m.opts.News()
}

// hide lets go of the report of a model that is followed no more.
func (m *Monitor) hide(model string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := maps.Clone(m.shown)
	delete(next, model)
	m.shown = next
}

// showing are the reports that are shown.
func (m *Monitor) showing() map[string]*shown {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shown
}

// VersionState says how one version is watched by this gateway.
type VersionState struct {
	// Off says why the version is not compared; empty where it is.
	Off string `json:"off,omitempty"`
	// Notes are what the document asks for in vain.
	Notes []string `json:"notes,omitempty"`
	// Features is how many are compared, ReferenceSamples of how many rows the
	// profile is.
	Features         int    `json:"features,omitempty"`
	ReferenceSamples uint64 `json:"reference_samples,omitempty"`
	// Samples is how many this gateway has counted, SampledRatio the part of the
	// requests that it looks at now, 0–1.
	Samples      uint64  `json:"samples"`
	SampledRatio float64 `json:"sampled_ratio"`
	// Dropped samples found no room, TooLarge were rows too large to look at,
	// Unfit were not as the profile says.
	Dropped  uint64 `json:"dropped"`
	TooLarge uint64 `json:"too_large"`
	Unfit    uint64 `json:"unfit"`
}

// State says how the versions of a model are watched, and what the newest
// report on them is, nil before the first. Ok is false where the model is not
// watched.
func (m *Monitor) State(model string) (versions map[string]VersionState, report *configs.DriftReport, ok bool) {
	m.mu.Lock()
	w, s := m.models[model], m.shown[model]
	m.mu.Unlock()
	if w == nil {
		return nil, nil, false
	}
	versions = make(map[string]VersionState, len(w.targets))
	for name, t := range w.targets {
		versions[name] = t.state()
	}
	if s != nil {
		report = s.report
	}
	return versions, report, true
}

// Status is what the status of the gateway says of a version, nil where it is
// not watched.
func (m *Monitor) Status(model, version string) *configs.DriftStatus {
	t := m.Target(model, version)
	if t == nil {
		return nil
	}
	state := t.state()
	s := &configs.DriftStatus{Off: state.Off, Notes: state.Notes}
	if shown := m.showing()[model]; shown != nil {
		s.Alarms = alarming(shown.report, version)
	}
	return s
}

// Models are the names of the models that are watched.
func (m *Monitor) Models() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.models))
}

func (t *Target) state() VersionState {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := VersionState{Off: t.off, Notes: t.notes, SampledRatio: float64(t.threshold.Load()) / (1 << 64),
		Dropped: t.dropped.Load(), TooLarge: t.large.Load(), Unfit: t.unfit.Load()}
	if t.profile != nil {
		s.Features, s.ReferenceSamples, s.Samples = len(t.profile.Features), t.profile.Samples, t.total.Rows()+t.fresh.Rows()
	}
	return s
}
