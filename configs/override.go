package configs

import "time"

// OverrideKind says what an override does.
type OverrideKind string

const (
	// OverrideHold replaces a model's weights until it ends or is released,
	// whatever the document says meanwhile.
	OverrideHold OverrideKind = "hold"
	// OverrideDelete says that the deletion of the model's document was asked
	// for by name, and is no accident. It has no weights.
	OverrideDelete OverrideKind = "delete"
)

// MaxHold is the longest an override may last.
const MaxHold = 7 * 24 * time.Hour

// Override is a decision that stands beside a document without changing it. It
// can only choose among versions that the document names.
type Override struct {
	Kind OverrideKind `json:"kind"`
	// Basis is what the decision was made on: Document.Basis at that time. An
	// override other than a hold counts only while the document's basis is
	// still this.
	Basis string `json:"basis"`
	// Weights take the place of the document's traffic.weights.
	Weights map[string]float64 `json:"weights,omitempty"`
	// By and Reason say who decided and why.
	By     string `json:"by"`
	Reason string `json:"reason"`
	// At is when it was decided, Until when it ends.
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}
