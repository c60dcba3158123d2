package gateway

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/monitor"
)

// Metrics are the gateway's own: requests, traffic and configuration. What a
// request touches are plain striped counters (versionMetrics), which are added
// up when Prometheus asks; nothing on the path of a request looks a label up.
type Metrics struct {
	// native is set where histograms are native ones too.
	native   bool
	mu       sync.RWMutex
	counters map[versionName]*versionCounters
	handles  map[handleName]*versionMetrics
	// shown are the versions by model whose shares are exported. It belongs to
	// the goroutine that applies configuration.
	shown map[string]map[string]struct{}
	// unknown counts what names no model of the table.
	unknown *versionMetrics

	feedback map[string]*feedbackCounts

	denied  [len(denialReasons)]atomic.Uint64
	shed    [shedReasonCount]atomic.Uint64
	serving atomic.Pointer[func() servingState]
	source  atomic.Pointer[func() configs.SourceState]
	drift   atomic.Pointer[monitor.Monitor]

	weight, weightWanted, breaking, override                        *prometheus.GaugeVec
	rolloutStep, evidence, evidenceThreshold                        *prometheus.GaugeVec
	rollbacks                                                       *prometheus.CounterVec
	configIndex, configReloaded, configChanged                      *prometheus.GaugeVec
	configSentinel, configFromLastGood, configFrozen, snapshotIndex prometheus.Gauge
	rejected, storeWrites                                           *prometheus.CounterVec
	applyDuration                                                   prometheus.Histogram
}

// versionName and variant of one handle.
type handleName struct {
	versionName
	variant string
}

// denialReasons are the labels of segue_auth_failures_total.
var denialReasons = [...]string{"missing", "malformed", "unknown", "permission", "model"}

// shedReason says why a request was refused without being tried. Its name is
// the label of segue_requests_shed_total.
type shedReason uint8

const (
	// shedInFlight: the gateway answers as many requests as it may
	// (settings.limits.max_in_flight). 503.
	shedInFlight shedReason = iota
	// shedQueueFull: as many requests wait for the version as may
	// (limits.queue). 503.
	shedQueueFull
	// shedQueueTime: the wait for a run would be longer than the model allows
	// (limits.queue_time). 503.
	shedQueueTime
	// shedDeadline: the wait would be longer than the request's deadline
	// allows (503, before it waits), or was (504).
	shedDeadline
	// shedRate: the model is asked more often than it may be (limits.rate).
	// 429.
	shedRate
	// shedKeyRate: an API key asks more often than it may
	// (settings.keys[].rate). 429.
	shedKeyRate
	shedReasonCount
)

var shedReasonNames = [shedReasonCount]string{"in_flight", "queue_full", "queue_time", "deadline", "rate_limit", "key_rate_limit"}

// servingState is what the data path reports when Prometheus asks.
type servingState struct {
	ready                   bool
	inFlight, inFlightLimit int64
	workers, busy           int
	queues                  []queueState
	breakers                []breakerStanding
}

type breakerStanding struct {
	versionName
	state breakerState
}

type queueState struct {
	versionName
	length, limit int
}

// NewMetrics registers the gateway's metrics. It panics where reg has one of
// their names already.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{counters: map[versionName]*versionCounters{}, handles: map[handleName]*versionMetrics{},
		shown: map[string]map[string]struct{}{}, feedback: map[string]*feedbackCounts{}}
	m.unknown = m.version("unknown", "", "")
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		reg.MustRegister(g)
		return g
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	m.weight = gauges("segue_route_weight_ratio", "Share of a model's requests that a version gets, in force.", versionLabels...)
	m.breaking = gauges("segue_version_breaking", "1 if a version's signature breaks the callers of its model's main version, else 0.", versionLabels...)
	m.weightWanted = gauges("segue_route_weight_wanted_ratio", "Share of a model's requests that a version is to get.", versionLabels...)
	m.override = gauges("segue_override_active", "1 while an override is in force.", "model", "kind")
	m.rolloutStep = gauges("segue_rollout_step", "Step that a rollout is at, from 1; 0 before the first and after a rollback, one more than there are once promoted.", "model")
	m.evidence = gauges("segue_rollout_evidence_log", "Natural logarithm of the evidence that the canary is worse than a guard tolerates.", "model", "guard")
	m.evidenceThreshold = gauges("segue_rollout_evidence_threshold_log", "Natural logarithm of the evidence at which the canary is taken back.", "model", "guard")
	m.rollbacks = counters("segue_rollbacks_total", "Canaries that this gateway took back.", "model", "reason")
	m.configIndex = gauges("segue_config_index", "Index of the model's document in force.", "model")
	m.configReloaded = gauges("segue_config_last_reload_successful", "0 where the newest document was refused.", "model")
	m.configChanged = gauges("segue_config_last_change_timestamp_seconds", "Unix time at which the document came into force.", "model")
	m.snapshotIndex = gauge("segue_config_snapshot_index", "Index of the newest snapshot of the whole configuration.")
	m.configSentinel = gauge("segue_config_sentinel_present", "1 where settings exist, without which no deletion counts.")
	m.configFromLastGood = gauge("segue_config_from_last_good", "1 where the configuration is the copy on disk.")
	m.configFrozen = gauge("segue_config_frozen", "1 while settings forbid new documents.")
	m.rejected = counters("segue_config_rejected_total", "Documents, settings and overrides refused.", "reason")
	m.storeWrites = counters("segue_consul_writes_total", "Writes to the configuration's store.", "kind", "outcome")
	m.applyDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "segue_config_apply_duration_seconds", Help: "Time from reading a document to its coming into force.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300},
	})
	reg.MustRegister(m.applyDuration, m)
	return m
}

// metricsHandler exports what g gathers in Prometheus's formats.
func metricsHandler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError})
}

// version returns the handle of one version in one variant. The same names
// give the same handle until they are forgotten.
func (m *Metrics) version(model, version, variant string) *versionMetrics {
	name := handleName{versionName{model, version}, variant}
	m.mu.RLock()
	v := m.handles[name]
	m.mu.RUnlock()
	if v != nil {
		return v
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if v = m.handles[name]; v != nil {
		return v
	}
	c := m.counters[name.versionName]
	if c == nil {
		c = m.newCounters(model, version)
		m.counters[name.versionName] = c
	}
	v = &versionMetrics{versionCounters: c, variant: variant}
	m.handles[name] = v
	return v
}

// forget deletes the series of one version. What still holds its handle counts
// into nowhere.
func (m *Metrics) forget(model, version string) {
	name := versionName{model, version}
	m.mu.Lock()
	delete(m.counters, name)
	maps.DeleteFunc(m.handles, func(h handleName, _ *versionMetrics) bool { return h.versionName == name })
	m.feedback[model].forget(version)
	m.mu.Unlock()
	delete(m.shown[model], version)
	m.weight.DeleteLabelValues(model, version)
	m.weightWanted.DeleteLabelValues(model, version)
	m.breaking.DeleteLabelValues(model, version)
}

// forgetModel deletes the series of a model that are not a version's.
func (m *Metrics) forgetModel(model string) {
	m.forget(model, "")
	delete(m.shown, model)
	m.mu.Lock()
	delete(m.feedback, model)
	m.mu.Unlock()
	m.noRollout(model)
	m.rollbacks.DeletePartialMatch(prometheus.Labels{"model": model})
	for _, vec := range []*prometheus.GaugeVec{m.weight, m.weightWanted, m.breaking, m.override, m.configIndex, m.configReloaded, m.configChanged} {
		vec.DeletePartialMatch(prometheus.Labels{"model": model})
	}
}

// deny counts a refusal of the gate.
func (m *Metrics) deny(reason string) {
	m.denied[slices.Index(denialReasons[:], reason)].Add(1)
}

// refused counts a request that was not tried.
func (m *Metrics) refused(why shedReason) { m.shed[why].Add(1) }

// watchServing says how the data path is asked for its state.
func (m *Metrics) watchServing(state func() servingState) { m.serving.Store(&state) }

// watchSource says how the configuration's source is asked for its state.
func (m *Metrics) watchSource(state func() configs.SourceState) { m.source.Store(&state) }

// watchDrift says who is asked for what drift has to show.
func (m *Metrics) watchDrift(d *monitor.Monitor) { m.drift.Store(d) }

// configApplied says that a document came into force at a time, and how long
// that took from reading it.
func (m *Metrics) configApplied(model string, index uint64, at time.Time, took time.Duration) {
	m.configIndex.WithLabelValues(model).Set(float64(index))
	m.configChanged.WithLabelValues(model).Set(float64(at.UnixNano()) / 1e9)
	m.applyDuration.Observe(took.Seconds())
}

// configRead says what the newest snapshot is.
func (m *Metrics) configRead(index uint64, sentinel, fromLastGood, frozen bool) {
	m.snapshotIndex.Set(float64(index))
	m.configSentinel.Set(oneIf(sentinel))
	m.configFromLastGood.Set(oneIf(fromLastGood))
	m.configFrozen.Set(oneIf(frozen))
}

// configAccepted says that a model's newest document was taken, configRejected
// that it was not; model is empty for what belongs to no model.
func (m *Metrics) configAccepted(model string) { m.configReloaded.WithLabelValues(model).Set(1) }

func (m *Metrics) configRejected(model, reason string) {
	m.rejected.WithLabelValues(reason).Inc()
	if model != "" {
		m.configReloaded.WithLabelValues(model).Set(0)
	}
}

// StoreWrite counts one write to the configuration's store: kind is the first
// part of the key (overrides, status, audit), outcome ok, conflict or error.
func (m *Metrics) StoreWrite(kind, outcome string) {
	m.storeWrites.WithLabelValues(kind, outcome).Inc()
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
