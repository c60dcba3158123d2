package configs

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// RolloutPhase says where a rollout stands.
type RolloutPhase string

const (
	// PhaseShadow: the canary answers copies only, until the shadow guard is
	// content. Rollouts without that guard begin with PhaseStep.
	PhaseShadow RolloutPhase = "shadow"
	// PhaseStep: the canary has the weight of a step.
	PhaseStep RolloutPhase = "step"
	// PhasePromoted: the canary has all of the traffic.
	PhasePromoted RolloutPhase = "promoted"
	// PhaseRolledBack: the stable version has all of the traffic, and the
	// canary's artifact is refused.
	PhaseRolledBack RolloutPhase = "rolled_back"
)

// RolloutState is how far a rollout has come. All gateways of the fleet follow
// the one that is stored; none moves weights by itself, but to take a canary
// back at once.
type RolloutState struct {
	// Basis is the Document.Basis of the rollout. The state counts only while
	// the document still has it.
	Basis string `json:"basis"`
	// Started is when this run of the rollout began, Retry how often it was
	// started again.
	Started time.Time    `json:"started"`
	Retry   int          `json:"retry,omitempty"`
	Phase   RolloutPhase `json:"phase"`
	// Step is the step's position in Rollout.Steps, from 0; in the last two
	// phases the one from which they were entered.
	Step int `json:"step"`
	// Since is when the phase or the step was entered.
	Since time.Time `json:"since"`
	// Paused: no step is left upwards, whatever the evidence. Guards still take
	// the canary back.
	Paused bool `json:"paused,omitempty"`
	// Resumed: somebody has let the rollout go on from this step's pause point,
	// once the evidence allows it.
	Resumed bool `json:"resumed,omitempty"`
	// Refused are the artifacts that were taken back. They are not to answer,
	// not even requests that name their version, while this state counts.
	Refused []RefusedArtifact `json:"refused,omitempty"`
	// Decision is the one that led here.
	Decision Decision `json:"decision"`
}

// RefusedArtifact is a version as it was when it was taken back.
type RefusedArtifact struct {
	Version string `json:"version"`
	// Digest is that of the artifact's manifest; empty where it never became
	// known. Then the version is refused whatever it holds.
	Digest string `json:"digest,omitempty"`
}

// Refuses reports that a version with this artifact was taken back.
func (s *RolloutState) Refuses(version, digest string) bool {
	if s == nil {
		return false
	}
	for _, r := range s.Refused {
		if r.Version == version && (r.Digest == "" || digest == "" || r.Digest == digest) {
			return true
		}
	}
	return false
}

// ID names one run of a rollout; a retry is another. It is the same on every
// gateway, the middle part of evidence keys and, where the document sets no
// salt, that of the assignment.
func (s *RolloutState) ID() string {
	hex := strings.TrimPrefix(s.Basis, "sha256:")
	return hex[:min(len(hex), 12)] + "-" + strconv.FormatInt(max(0, s.Started.UnixMilli()), 36)
}

// Running reports that the rollout has not come to an end.
func (s *RolloutState) Running() bool { return s.Phase == PhaseShadow || s.Phase == PhaseStep }

// CanaryWeight is the canary's percent of the requests in this state.
func (s *RolloutState) CanaryWeight(r *Rollout) float64 {
	switch {
	case s.Phase == PhasePromoted:
		return 100
	case s.Phase == PhaseStep && s.Step < len(r.Steps):
		return r.Steps[s.Step].Weight
	}
	return 0
}

// AwaitsPerson reports that the step is one of Rollout.Steps with a pause that
// nobody has resumed, or that the rollout is paused.
func (s *RolloutState) AwaitsPerson(r *Rollout) bool {
	return s.Running() && (s.Paused || s.Phase == PhaseStep && s.Step < len(r.Steps) && r.Steps[s.Step].Pause && !s.Resumed)
}

// DecisionEvent names what was decided. It is also the event of the audit
// record.
type DecisionEvent string

// What can be decided about a rollout.
const (
	DecideStart    DecisionEvent = "start"
	DecideStep     DecisionEvent = "step"
	DecidePromote  DecisionEvent = "promote"
	DecideRollback DecisionEvent = "rollback"
	DecidePause    DecisionEvent = "pause"
	DecideResume   DecisionEvent = "resume"
	DecideRetry    DecisionEvent = "retry"
)

// Known reports that the event is one of those above.
func (e DecisionEvent) Known() bool {
	return slices.Contains(decisionEvents(), e)
}

func decisionEvents() []DecisionEvent {
	return []DecisionEvent{DecideStart, DecideStep, DecidePromote, DecideRollback, DecidePause, DecideResume, DecideRetry}
}

// Decision is one decision with all that it rests on.
type Decision struct {
	Event DecisionEvent `json:"event"`
	// By is who decided: an operator, or "gateway" and an instance's name.
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	// Digest, of a rollback, is that of the artifact that was taken back, as it
	// was loaded.
	Digest string `json:"digest,omitempty"`
	// Guard is the guard that decided, empty where none did.
	Guard string `json:"guard,omitempty"`
	// Evidence are the guards' numbers at that moment; a person may have
	// decided without any.
	Evidence []GuardEvidence `json:"evidence,omitempty"`
}

// GuardEvidence are the numbers of one guard at one moment. Logarithms are
// natural and finite.
type GuardEvidence struct {
	// Name is the guard's field in Guards: errors, nonfinite, slow, classes,
	// shadow or feedback.
	Name string `json:"name"`
	// LnE is the evidence that the canary is worse than tolerated; at Threshold,
	// ln(1/alpha) of the guard's part of alpha, it is taken back.
	LnE       float64 `json:"ln_e"`
	Threshold float64 `json:"threshold"`
	// PromoteLnE is the evidence that the canary is good enough; at
	// PromoteThreshold the guard lets the step go. Both are 0 where a guard has
	// no say in that.
	PromoteLnE       float64 `json:"promote_ln_e,omitempty"`
	PromoteThreshold float64 `json:"promote_threshold,omitempty"`
	// Events are the canary's bad events among its Units (requests, or users
	// where traffic is sticky); StableEvents and StableUnits are the control's,
	// 0 where a guard has none.
	Events       int `json:"events"`
	Units        int `json:"units"`
	StableEvents int `json:"stable_events,omitempty"`
	StableUnits  int `json:"stable_units,omitempty"`
}
