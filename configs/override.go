package configs

import "time"

// OverrideKind says what an override does.
type OverrideKind string

const (
	// OverrideHold replaces a model's weights until it ends or is released,
	// whatever the document says meanwhile. A rollout that was under way stands
	// beside it and goes on afterwards.
	OverrideHold OverrideKind = "hold"
	// OverrideDelete says that the deletion of the model's document was asked
	// for by name, and is no accident. It has no weights.
	OverrideDelete OverrideKind = "delete"
	// OverrideRollout says how far the document's rollout has come. It has no
	// weights of its own and no end: it counts while the document's basis is
	// the one it was decided on.
	OverrideRollout OverrideKind = "rollout"
)

// MaxHold is the longest a hold may last.
const MaxHold = 7 * 24 * time.Hour

// OverridesPrefix is the part of the store that holds the overrides.
const OverridesPrefix = "overrides/"

// OverrideKey is the key of a model's override.
func OverrideKey(model string) string { return OverridesPrefix + model }

// Override is what was decided beside a document without changing it: one for
// a model, written by check-and-set by gateways and seguectl alike. It can only
// choose among the versions and steps that the document names. What it comes to
// is for Document.Steer.
type Override struct {
	Kind OverrideKind `json:"kind"`
	// Basis is what the newest decision was made on: Document.Basis at that
	// time.
	Basis string `json:"basis"`
	// Weights, of a hold, take the place of the document's.
	Weights map[string]float64 `json:"weights,omitempty"`
	// Rollout is how far the document's rollout has come; nil before it began.
	// A hold carries it along.
	Rollout *RolloutState `json:"rollout,omitempty"`
	// By and Reason say who made the newest decision and why.
	By     string `json:"by"`
	Reason string `json:"reason"`
	// At is when it was made, Until when a hold or a deletion ends; a rollout's
	// has no end.
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"`
}

// Holds reports that the override is a hold that has not ended.
func (o *Override) Holds(now time.Time) bool {
	return o != nil && o.Kind == OverrideHold && now.Before(o.Until)
}
