package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/configs"
)

// modelInForce sets a model's shares, in force and wanted, and the kind of the
// override that made them, empty where none did. A version that is in neither any more has none until it is
// forgotten. Only one goroutine may call it.
func (m *Metrics) modelInForce(model string, inForce, wanted map[string]float64, by configs.OverrideKind) {
	shown := m.shown[model]
	if shown == nil {
		shown = map[string]struct{}{}
		m.shown[model] = shown
	}
	for _, weights := range []map[string]float64{inForce, wanted} {
		for version := range weights {
			shown[version] = struct{}{}
		}
	}
	for version := range shown {
		m.weight.WithLabelValues(model, version).Set(inForce[version])
		m.weightWanted.WithLabelValues(model, version).Set(wanted[version])
	}
	for _, kind := range []configs.OverrideKind{configs.OverrideHold, configs.OverrideRollout} {
		m.override.WithLabelValues(model, string(kind)).Set(oneIf(by == kind))
	}
}

// signature says whether a version's signature breaks callers of the main one.
func (m *Metrics) signature(model, version string, breaking bool) {
	m.breaking.WithLabelValues(model, version).Set(oneIf(breaking))
}

// noRollout deletes the series of a model's rollout.
func (m *Metrics) noRollout(model string) {
	for _, vec := range []*prometheus.GaugeVec{m.rolloutStep, m.evidence, m.evidenceThreshold} {
		vec.DeletePartialMatch(prometheus.Labels{"model": model})
	}
}

// rolledBack counts a canary that this gateway took back: the guard that
// decided, breaker or inconclusive.
func (m *Metrics) rolledBack(model, reason string) { m.rollbacks.WithLabelValues(model, reason).Inc() }
