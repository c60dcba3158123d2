package store

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what stores fetch. A nil *Metrics counts nothing.
type Metrics struct {
	fetches *prometheus.CounterVec
	bytes   prometheus.Counter
}

// NewMetrics registers the metrics of fetching.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "segue_artifact_fetches_total",
			Help: "Artifacts asked for at a store, by scheme and by outcome: ok, cached (found on this machine, nothing was transferred), error, permanent_error or cancelled.",
		}, []string{"scheme", "outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "segue_artifact_fetch_bytes_total",
			Help: "Bytes that stores transferred to this machine, also those of transfers that failed; artifacts served in place or from the cache count for none.",
		}),
	}
	registry.MustRegister(m.fetches, m.bytes)
	return m
}

// Received counts bytes that a store transferred.
func (m *Metrics) Received(bytes int64) {
	if m != nil {
		m.bytes.Add(float64(bytes))
	}
}

func (m *Metrics) fetched(ctx context.Context, scheme string, cached bool, err error) {
	if m == nil {
		return
	}
	outcome := "ok"
	switch {
	case err == nil && cached:
		outcome = "cached"
	case err == nil:
	case ctx.Err() != nil:
		outcome = "cancelled"
	case IsPermanent(err):
		outcome = "permanent_error"
	default:
		outcome = "error"
	}
	m.fetches.WithLabelValues(scheme, outcome).Inc()
}
