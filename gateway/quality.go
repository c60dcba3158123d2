package gateway

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
)

const (
	// qualityAlpha is the probability with which an interval of a version's
	// accuracy or reward misses the true one at any time.
	qualityAlpha = 0.05
	// qualityShown is how soon the status shows what feedback said.
	qualityShown = 5 * time.Second
)

// estimate is the mean of feedback of a kind with its interval.
func estimate(kind string, m rollout.Mean) rollout.Estimate {
	if kind == configs.FeedbackLabel {
		return m.Share(qualityAlpha)
	}
	return m.Bounded(qualityAlpha)
}

// qualityStatus is a mean of feedback of a kind, as a status has it.
func qualityStatus(kind string, m rollout.Mean) configs.QualityStatus {
	e := estimate(kind, m)
	return configs.QualityStatus{Kind: kind, N: m.N, Sum: m.Sum, Mean: e.Mean, Spread: m.Spread, Interval: &configs.Interval{Low: e.Low, High: e.High}}
}

// quality is what labels and rewards said of a version.
func (m *Metrics) quality(model, version string) []configs.QualityStatus {
	m.mu.RLock()
	c := m.feedback[model]
	m.mu.RUnlock()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []configs.QualityStatus
	for key, s := range c.values {
		if key.version == version && key.kind != feedbackKindNames[feedbackMetrics] {
			all = append(all, s.quality(key.kind))
		}
	}
	slices.SortFunc(all, func(a, b configs.QualityStatus) int { return cmp.Compare(a.Kind, b.Kind) })
	return all
}

func (s *feedbackSum) quality(kind string) configs.QualityStatus {
	if !s.outside {
		return qualityStatus(kind, s.mean)
	}
	return configs.QualityStatus{Kind: kind, N: s.count, Sum: s.sum, Mean: s.sum / float64(s.count)}
}

// collectQuality exports a version's accuracy or mean reward.
func (s *feedbackSum) collectQuality(to chan<- prometheus.Metric, model, version, kind string) {
	q := s.quality(kind)
	gauge := func(d *prometheus.Desc, x float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, model, version, kind)
	}
	gauge(feedbackMeanDesc, q.Mean)
	if q.Interval != nil {
		gauge(feedbackMeanLowerDesc, q.Interval.Low)
		gauge(feedbackMeanUpperDesc, q.Interval.High)
	}
}

// rolloutQuality is what the fleet's feedback says of an arm of a rollout, nil
// where nothing was said.
func (l *liveRollout) rolloutQuality(canary bool) *configs.QualityStatus {
	m := l.total.Quality(canary)
	if m.N == 0 {
		return nil
	}
	q := qualityStatus(l.quality, m)
	return &q
}

// feedbackKindOf is the kind of feedback that a rollout's versions are compared
// by: its guard's, or labels.
func feedbackKindOf(doc *configs.Document) string {
	if g := doc.Rollout.Guards.Feedback; g != nil && g.Kind == configs.FeedbackReward {
		return configs.FeedbackReward
	}
	return configs.FeedbackLabel
}
