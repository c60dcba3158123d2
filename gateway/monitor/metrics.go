package monitor

import (
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/drift"
)

const (
	// mostFeatures bounds the features of a version that have series; the others
	// are in the report. mostBins bounds the bins of one feature that have.
	mostFeatures = 50
	mostBins     = 64
	// scoreTest is the label of the one test of a feature: the power divergence
	// of Cressie and Read.
	scoreTest = "power_divergence"
)

var (
	scoreDesc = prometheus.NewDesc("segue_drift_score", "Statistic of a feature's test against the profile in the newest window of the fleet.",
		[]string{"model", "version", "feature", "test"}, nil)
	thresholdDesc = prometheus.NewDesc("segue_drift_threshold", "Statistic over which a feature's difference is significant, given the false alarms that are accepted.",
		[]string{"model", "version", "feature", "test"}, nil)
	samplesDesc = prometheus.NewDesc("segue_drift_window_samples", "Samples in the newest window of the fleet.", []string{"model", "version"}, nil)
	alarmDesc   = prometheus.NewDesc("segue_drift_alarm", "1 while a drift alarm stands.", []string{"model", "version"}, nil)
	droppedDesc = prometheus.NewDesc("segue_drift_features_dropped", "Features that are compared and have no series, because there are too many.",
		[]string{"model", "version"}, nil)
	binsDesc = prometheus.NewDesc("segue_drift_bin_samples_total", "Samples that this gateway counted, by the bin of a feature.",
		[]string{"model", "version", "feature", "bin"}, nil)
	referenceDesc = prometheus.NewDesc("segue_drift_bin_reference_ratio", "Share of the reference profile in a bin of a feature, 0-1.",
		[]string{"model", "version", "feature", "bin"}, nil)
)

// Describe sends the descriptions of what a Monitor's Collect exports.
func Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{scoreDesc, thresholdDesc, samplesDesc, alarmDesc, droppedDesc, binsDesc, referenceDesc} {
		to <- d
	}
}

// Collect exports the newest reports, and the counts of models whose documents
// ask for that.
func (m *Monitor) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	kept, models := maps.Clone(m.kept), m.models
	m.mu.Unlock()
	for model, s := range m.showing() {
		if models[model] != nil {
			s.collect(to, models[model])
		}
	}
	for name, t := range kept {
		// A version that has left keeps its series for as long as others do.
		if t.exported.Load() {
			t.collect(to, name[0], name[1])
		}
	}
}

// collect exports a report: of each version the comparison with its profile or,
// where the document asks for none, the first.
func (s *shown) collect(to chan<- prometheus.Metric, w *watch) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	done := map[string]bool{}
	for i, c := range s.report.Comparisons {
		if w.targets[c.Version] == nil || done[c.Version] {
			continue
		}
		done[c.Version] = true
		gauge(alarmDesc, float64(min(1, len(alarming(s.report, c.Version)))), s.report.Model, c.Version)
		gauge(samplesDesc, float64(c.Samples), s.report.Model, c.Version)
		if s.judged[i] == nil {
			continue
		}
		features := s.judged[i].Features
		shown := slices.Clone(features)
		slices.SortFunc(shown, func(a, b drift.FeatureReport) int { return a.Position - b.Position })
		for n, f := range shown {
			if n >= mostFeatures {
				break
			}
			gauge(scoreDesc, f.Statistic, s.report.Model, c.Version, f.Name, scoreTest)
			gauge(thresholdDesc, f.Critical, s.report.Model, c.Version, f.Name, scoreTest)
		}
		gauge(droppedDesc, float64(max(0, len(features)-mostFeatures)), s.report.Model, c.Version)
	}
}

// collect exports what the target has counted: the counts of the first series
// of the first features that have few enough bins.
func (t *Target) collect(to chan<- prometheus.Metric, model, version string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.profile == nil {
		return
	}
	exported := 0
	for i := range t.profile.Features {
		f := &t.profile.Features[i]
		counted := cellsOf(f, t.total.Counts(i, 0))
		if len(counted) == 0 || len(counted) > mostBins || exported == mostFeatures {
			continue
		}
		exported++
		reference := cellsOf(f, f.Series[0].Reference)
		all := 0.0
		for _, n := range reference {
			all += n
		}
		for bin, n := range counted {
			label := fmt.Sprint(bin)
			to <- prometheus.MustNewConstMetric(binsDesc, prometheus.CounterValue, n, model, version, f.Name, label)
			if all > 0 {
				to <- prometheus.MustNewConstMetric(referenceDesc, prometheus.GaugeValue, reference[bin]/all, model, version, f.Name, label)
			}
		}
	}
}

// cellsOf are the counts that the population stability index is computed of:
// what is out of range counts in the outer bins of ordered ones, and what is
// unseen in a bin of its own behind the others.
func cellsOf(f *drift.Feature, c drift.Counts) []float64 {
	cells := make([]float64, len(c.Bins), len(c.Bins)+1)
	for i, n := range c.Bins {
		cells[i] = float64(n)
	}
	switch f.Kind {
	case drift.Categorical, drift.Class, drift.Boolean:
		return append(cells, float64(c.Unseen))
	}
	if len(cells) > 0 {
		cells[0] += float64(c.Below)
		cells[len(cells)-1] += float64(c.Above)
	}
	return cells
}

// alarming are the comparisons of a version whose alarms stand.
func alarming(r *configs.DriftReport, version string) (references []string) {
	for _, c := range r.Comparisons {
		if c.Version == version && c.Alarm != nil {
			references = append(references, c.Reference)
		}
	}
	return references
}
