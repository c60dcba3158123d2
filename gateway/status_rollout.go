package gateway

import (
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
)

// rolloutStatus says where a model's rollout stands, nil where its newest
// document has none.
func (r *reconciler) rolloutStatus(m *modelState, now time.Time) *configs.RolloutStatus {
	a := m.newestGood()
	if a == nil || a.doc.Rollout == nil {
		return nil
	}
	ro := a.doc.Rollout
	s := &configs.RolloutStatus{Stable: ro.Stable, Canary: ro.Canary, Steps: len(ro.Steps)}
	state := r.steer(m.name, a.doc, now).Rollout
	if state == nil {
		return s
	}
	s.ID, s.Phase, s.Step, s.Since = state.ID(), state.Phase, state.Step, state.Since
	s.Weight, s.Waits = state.CanaryWeight(ro), state.AwaitsPerson(ro)
	s.Reason, s.By = state.Decision.Reason, state.Decision.By
	s.Behind = !state.Running()
	s.Guards = state.Decision.Evidence
	if m.live != nil && m.live.id == s.ID {
		s.Verdict, s.Guards, s.Missing = verdictWords(m.live.verdict.Action), m.live.numbers(), m.live.verdict.Waiting
		s.StableQuality, s.CanaryQuality = m.live.rolloutQuality(false), m.live.rolloutQuality(true)
	}
	return s
}

// verdictWords are a verdict as people read it.
func verdictWords(a rollout.Action) string {
	switch a {
	case rollout.Advance, rollout.Promote:
		return "go on"
	case rollout.Rollback:
		return "roll back"
	}
	return "hold"
}

// showRollout sets the metrics of a model's rollout.
func (r *reconciler) showRollout(m *modelState) {
	if m.inForce == nil || m.inForce.doc.Rollout == nil {
		r.metrics.noRollout(m.name)
		return
	}
	step := 0.0
	if s := m.rollout; s != nil {
		switch s.Phase {
		case configs.PhaseStep:
			step = float64(s.Step + 1)
		case configs.PhasePromoted:
			step = float64(len(m.inForce.doc.Rollout.Steps) + 1)
		}
	}
	r.metrics.rolloutStep.WithLabelValues(m.name).Set(step)
	if m.live == nil {
		return // the last numbers stay until there are new ones
	}
	for _, j := range m.live.verdict.Judgements {
		r.metrics.evidence.WithLabelValues(m.name, j.Guard.String()).Set(j.LnE)
		r.metrics.evidenceThreshold.WithLabelValues(m.name, j.Guard.String()).Set(j.Threshold)
	}
}
