package configs

import "time"

// RolloutStatus is how a rollout stands in one gateway.
type RolloutStatus struct {
	// ID is RolloutState.ID, empty before the rollout has begun.
	ID     string `json:"id,omitempty"`
	Stable string `json:"stable"`
	Canary string `json:"canary"`
	// Phase is empty before the rollout has begun.
	Phase RolloutPhase `json:"phase,omitempty"`
	// Step is the step's position from 0 among Steps steps.
	Step  int `json:"step"`
	Steps int `json:"steps"`
	// Weight is the canary's percent that the phase asks for. What it has is in
	// ModelStatus.Weights.
	Weight float64 `json:"weight"`
	// Since is when the phase or step was entered.
	Since time.Time `json:"since,omitzero"`
	// Waits reports that the step is left by a person only: it is paused, or a
	// pause point.
	Waits bool `json:"waits,omitempty"`
	// Verdict is what the evidence comes to now: "go on", "hold" or "roll back";
	// empty where it is not asked (before the start, after the end).
	Verdict string `json:"verdict,omitempty"`
	// Guards are the numbers of all guards, of the fleet as this gateway knows
	// it; after the end those on which it was decided.
	Guards []GuardEvidence `json:"guards,omitempty"`
	// StableQuality and CanaryQuality are what feedback to the whole fleet said
	// of the two versions since the rollout began, over all its steps; rewards
	// beyond 0 and 1 count as those. They are nil where nothing was said.
	StableQuality *QualityStatus `json:"stable_quality,omitempty"`
	CanaryQuality *QualityStatus `json:"canary_quality,omitempty"`
	// Missing says what has to come before the step is left, a thing each:
	// "17m of min_time", "errors: 212 units without an event".
	Missing []string `json:"missing,omitempty"`
	// Reason is the reason of the newest decision, By who made it.
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
	// Behind reports that the rollout has ended and the document does not say so
	// yet: seguectl get --effective prints the one to commit.
	Behind bool `json:"behind,omitempty"`
}

func trimEndedRollout(m ModelStatus) ModelStatus {
	if m.Rollout == nil || !m.Rollout.ended() {
		return m
	}
	return trimGuards(m)
}

func (r *RolloutStatus) ended() bool { return r.Phase == PhasePromoted || r.Phase == PhaseRolledBack }

func trimGuards(m ModelStatus) ModelStatus {
	if m.Rollout == nil {
		return m
	}
	ro := *m.Rollout
	ro.Guards, ro.StableQuality, ro.CanaryQuality, ro.Reason = nil, nil, nil, cutText(ro.Reason)
	if len(ro.Missing) > 1 {
		ro.Missing = ro.Missing[:1]
	}
	m.Rollout = &ro
	return m
}
