package gateway

import (
	"maps"
	"math"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/gateway/rollout"
)

// feedbackOutcome is what became of a piece of feedback.
type feedbackOutcome uint8

const (
	feedbackAccepted feedbackOutcome = iota
	// feedbackLate is accepted and counts for its version, but no longer for
	// the rollout in which the prediction was made.
	feedbackLate
	feedbackMalformed
	feedbackForeign
	feedbackExpired
	feedbackDuplicate
	feedbackOutcomeCount
)

var feedbackOutcomeNames = [feedbackOutcomeCount]string{"accepted", "late", "malformed", "foreign", "expired", "duplicate"}

// feedbackCounts add up what is said about the versions of one model.
type feedbackCounts struct {
	mu       sync.Mutex
	outcomes [feedbackKindCount][feedbackOutcomeCount]uint64
	values   map[feedbackSeries]feedbackSum
	// names are the names of metrics that have series.
	names map[string]struct{}
}

// feedbackSeries is one business metric of a version: how often labels agreed
// (name "label"), rewards (name "reward"), or a metric by its own name.
type feedbackSeries struct{ version, kind, name string }

type feedbackSum struct {
	count uint64
	sum   float64
	// mean is that of labels and rewards, for its interval; outside reports
	// that some reward was not between 0 and 1, so that there is none.
	mean    rollout.Mean
	outside bool
}

// maxMetricNames bounds the names of one model that get series of their own;
// the others share one.
const (
	maxMetricNames  = 20
	otherMetricName = "other"
)

func (c *feedbackCounts) outcome(kind feedbackKind, o feedbackOutcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[kind][o]++
}

// add adds one value to a version's series. Sums that are out of range of a
// double stay at its end.
func (c *feedbackCounts) add(version string, kind feedbackKind, name string, value float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kind == feedbackMetrics {
		if _, known := c.names[name]; !known {
			if len(c.names) >= maxMetricNames {
				name = otherMetricName
			} else {
				c.names[name] = struct{}{}
			}
		}
	}
	key := feedbackSeries{version, feedbackKindNames[kind], name}
	s := c.values[key]
	s.count++
	s.sum = max(-math.MaxFloat64, min(math.MaxFloat64, s.sum+value))
	if kind != feedbackMetrics {
		s.mean.Add(value)
		s.outside = s.outside || value < 0 || value > 1
	}
	c.values[key] = s
}

// forget deletes what was said of a version.
func (c *feedbackCounts) forget(version string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.values, func(s feedbackSeries, _ feedbackSum) bool { return s.version == version })
}

// feedbackOf gives the counts of a model that the table names.
func (m *Metrics) feedbackOf(model string) *feedbackCounts {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.feedback[model]
	if c == nil {
		c = &feedbackCounts{values: map[feedbackSeries]feedbackSum{}, names: map[string]struct{}{}}
		m.feedback[model] = c
	}
	return c
}

// collectFeedback exports the counts of all models.
func (m *Metrics) collectFeedback(to chan<- prometheus.Metric) {
	m.mu.RLock()
	all := maps.Clone(m.feedback)
	m.mu.RUnlock()
	for model, c := range all {
		c.collect(to, model)
	}
}

func (c *feedbackCounts) collect(to chan<- prometheus.Metric, model string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for kind, outcomes := range c.outcomes {
		for o, n := range outcomes {
			if n > 0 {
				to <- prometheus.MustNewConstMetric(feedbacksDesc, prometheus.CounterValue, float64(n), model, feedbackKindNames[kind], feedbackOutcomeNames[o])
			}
		}
	}
	for s, v := range c.values {
		to <- prometheus.MustNewConstSummary(feedbackValueDesc, v.count, v.sum, nil, model, s.version, s.kind, s.name)
		if s.kind != feedbackKindNames[feedbackMetrics] {
			v.collectQuality(to, model, s.version, s.kind)
		}
	}
}
