package loader

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome is how a try ended, as segue_swaps_total labels it.
type outcome string

const (
	outcomeReady     outcome = "ready"
	outcomeFailed    outcome = "failed"
	outcomeCancelled outcome = "cancelled"
)

// Metrics count and time what a Manager does. A nil *Metrics counts nothing.
// States and digests are read from the Manager at each scrape, so their series
// go when a version is no longer remembered.
type Metrics struct {
	durations *prometheus.HistogramVec
	failures  *prometheus.CounterVec
	swaps     *prometheus.CounterVec
	evictions *prometheus.CounterVec
	state     *prometheus.Desc
	info      *prometheus.Desc
	statuses  atomic.Pointer[func() []Status]
}

// NewMetrics registers the metrics of loading. They belong to one Manager.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "segue_model_load_duration_seconds",
			Help:    "Time that versions took in each phase of loading.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300},
		}, []string{"phase"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "segue_model_load_failures_total",
			Help: "Tries to load a version that failed, by reason: fetch, verify, digest, unsigned, probe, crash, limit, memory, open, signature, golden or warm.",
		}, []string{"model", "version", "reason"}),
		swaps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "segue_swaps_total",
			Help: "Tries to bring a version into memory that ended, by outcome: ready, failed or cancelled.",
		}, []string{"outcome"}),
		evictions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "segue_model_evictions_total",
			Help: "Versions that were unloaded though they are wanted, because they were idle for their time (idle) or another needed the room (memory).",
		}, []string{"reason"}),
		state: prometheus.NewDesc("segue_model_state",
			"State of a version: 1 for the current one of its states, 0 for the others.", []string{"model", "version", "state"}, nil),
		info: prometheus.NewDesc("segue_model_info",
			"Digest of a version that is ready; always 1.", []string{"model", "version", "digest"}, nil),
	}
	for _, phase := range States() {
		if phase.loading() && phase != StateWanted {
			m.durations.WithLabelValues(strings.ToLower(phase.String()))
		}
	}
	for _, o := range []outcome{outcomeReady, outcomeFailed, outcomeCancelled} {
		m.swaps.WithLabelValues(string(o))
	}
	for _, e := range []eviction{evictedIdle, evictedMemory} {
		m.evictions.WithLabelValues(string(e))
	}
	registry.MustRegister(m.durations, m.failures, m.swaps, m.evictions, m)
	return m
}

// Describe sends the descriptions of the series made at a scrape.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	c <- m.state
	c <- m.info
}

// Collect sends one series for each version and state, and the digests.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	statuses := m.statuses.Load()
	if statuses == nil {
		return
	}
	type version struct{ model, version string }
	type digest struct{ model, version, digest string }
	current := make(map[version]State)
	digests := make(map[digest]bool)
	for _, s := range (*statuses)() {
		v := version{s.Wanted.Model, s.Wanted.Version}
		if was, ok := current[v]; !ok || precedence(s.State) >= precedence(was) {
			current[v] = s.State
		}
		if s.State == StateReady {
			digests[digest{v.model, v.version, s.Digest}] = true
		}
	}
	for v, is := range current {
		for _, s := range States() {
			value := 0.0
			if s == is {
				value = 1
			}
			c <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, value, v.model, v.version, s.String())
		}
	}
	for d := range digests {
		c <- prometheus.MustNewConstMetric(m.info, prometheus.GaugeValue, 1, d.model, d.version, d.digest)
	}
}

// precedence orders the states of several residents of one version number, as
// there are while it is replaced: the one that serves is the one to show.
func precedence(s State) int {
	switch {
	case s == StateReady:
		return 3
	case s.loading() || s == StateFailed:
		return 2
	case s == StateDraining || s == StateEvicted:
		return 1
	}
	return 0
}

func (m *Metrics) observe(statuses func() []Status) {
	if m != nil {
		m.statuses.Store(&statuses)
	}
}

func (m *Metrics) phase(s State, took time.Duration) {
	if m != nil {
		m.durations.WithLabelValues(strings.ToLower(s.String())).Observe(took.Seconds())
	}
}

func (m *Metrics) failed(w Wanted, c cause) {
	if m != nil {
		m.failures.WithLabelValues(w.Model, w.Version, string(c)).Inc()
	}
}

func (m *Metrics) ended(o outcome) {
	if m != nil {
		m.swaps.WithLabelValues(string(o)).Inc()
	}
}

func (m *Metrics) evicted(why eviction) {
	if m != nil {
		m.evictions.WithLabelValues(string(why)).Inc()
	}
}

// forget deletes the counters of a version that is remembered no more.
func (m *Metrics) forget(w Wanted) {
	if m != nil {
		m.failures.DeletePartialMatch(prometheus.Labels{"model": w.Model, "version": w.Version})
	}
}
