package configs

import "time"

// Steering is what answers a model's requests that name no version, and by
// whose word.
type Steering struct {
	// Weights are relative, by version.
	Weights map[string]float64
	// Hold is the hold that gives the weights, nil where there is none.
	Hold *Override
	// Rollout is the state that counts for the document's rollout, under a hold
	// too; nil where the document has no rollout, or one of which nothing is
	// decided yet: then the stable version answers.
	Rollout *RolloutState
	// Stale reports that nothing in the override counts for the document, now
	// or later: whoever finds it deletes it by check-and-set. It is for the
	// newest document only that this may be said.
	Stale bool
	// Problem is why the override cannot apply although it should, nil where it
	// can or should not.
	Problem error
}

// Steer says what a document and the override beside it (nil where there is
// none) come to at a time:
//
//  1. A hold that has not ended gives the weights, whatever the document says,
//     unless it names versions that the document does not.
//  2. Else the state of the document's rollout does, if it was decided on the
//     Basis that the document has now. State for another rollout does not
//     count, so that whoever changes the rollout begins it anew.
//  3. Else the document does: its rollout has not begun (all on the stable
//     version), its weights, or the version that the policy names.
//
// A deletion by name gives no weights, and neither does an override for which
// the document is the wrong one.
func (d *Document) Steer(o *Override, policy string, now time.Time) Steering {
	s := Steering{Weights: d.WeightsOr(policy)}
	if o == nil {
		return s
	}
	if state := o.stateFor(d); state != nil {
		s.Rollout = state
		s.Weights = d.Rollout.Weights(state.CanaryWeight(d.Rollout))
	}
	switch {
	case o.Holds(now):
		if s.Problem = o.Check(d); s.Problem == nil {
			s.Hold, s.Weights = o, o.Weights
		}
	case o.Kind == OverrideDelete:
		s.Stale = !now.Before(o.Until)
	default:
		s.Stale = s.Rollout == nil
	}
	return s
}

// stateFor is the rollout's state if it counts for a document, else nil.
func (o *Override) stateFor(d *Document) *RolloutState {
	if o == nil || o.Rollout == nil || d.Rollout == nil || o.Rollout.Basis != d.Basis() || o.Rollout.Step >= len(d.Rollout.Steps) {
		return nil
	}
	return o.Rollout
}
