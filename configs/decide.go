package configs

import (
	"cmp"
	"errors"
	"fmt"
)

// ErrDecided says that a decision would change nothing: it stands already.
var ErrDecided = errors.New("so it stands already")

// Decide makes a decision about the document's rollout on what stands beside
// it, nil where nothing does, and returns what to write in its place, by
// check-and-set at the index at which o was read: so a decision is made once
// in the fleet, on what the decider has seen. Neither argument is changed.
//
// State of another rollout is replaced. Where nothing is decided yet the
// rollout begins with this decision. A hold stays, with one exception: a
// rollback ends a hold that gives the canary weight. The error says why the
// decision cannot be made; it is ErrDecided where it is made already.
//
//   - DecideStart begins the rollout.
//   - DecideStep goes on to the next step; after the last that is the
//     promotion, and the decision becomes one.
//   - DecidePromote gives the canary all traffic at once.
//   - DecideRollback gives the stable version all traffic and refuses the
//     canary's artifact; it works after a promotion too.
//   - DecidePause and DecideResume stop the rollout going on and let it; a step
//     with a pause of its own is let go by DecideResume once evidence allows.
//   - DecideRetry begins the rollout again, with nothing refused.
func (d *Document) Decide(o *Override, decision Decision) (*Override, error) {
	if d.Rollout == nil {
		return nil, errors.New("the document has no rollout")
	}
	before := o.stateFor(d)
	state := d.begin(decision)
	if before != nil {
		state = *before
	} else if decision.Event == DecideRetry {
		return nil, errors.New("the rollout has not begun")
	}
	var err error
	switch decision.Event {
	case DecideStart:
		if before != nil {
			err = ErrDecided
		}
	case DecideStep:
		err = d.step(&state, &decision)
	case DecidePromote:
		if err = state.running(); state.Phase == PhasePromoted {
			err = ErrDecided
		}
		state.enter(PhasePromoted, decision)
	case DecideRollback:
		if state.Phase == PhaseRolledBack {
			err = ErrDecided
		}
		decision.Digest = cmp.Or(decision.Digest, d.Versions[d.Rollout.Canary].Digest)
		state.enter(PhaseRolledBack, decision)
		state.Refused = []RefusedArtifact{{d.Rollout.Canary, decision.Digest}}
	case DecidePause:
		if err = state.running(); state.Running() && state.Paused {
			err = ErrDecided
		}
		state.Paused = true
	case DecideResume:
		if err = state.running(); err == nil && !state.AwaitsPerson(d.Rollout) {
			err = ErrDecided
		}
		state.Paused = false
		state.Resumed = state.Phase == PhaseStep && d.Rollout.Steps[state.Step].Pause
	case DecideRetry:
		retry := state.Retry + 1
		state = d.begin(decision)
		state.Retry = retry
	default:
		err = fmt.Errorf("%q is no decision", decision.Event)
	}
	if err != nil {
		return nil, err
	}
	state.Decision = decision
	return o.with(&state, d.Rollout.Canary), nil
}

// begin is the state in which a rollout starts.
func (d *Document) begin(decision Decision) RolloutState {
	s := RolloutState{Basis: d.Basis(), Started: decision.At}
	phase := PhaseStep
	if d.Rollout.Guards.Shadow != nil {
		phase = PhaseShadow
	}
	s.enter(phase, decision)
	return s
}

// enter begins a phase or step.
func (s *RolloutState) enter(phase RolloutPhase, decision Decision) {
	s.Phase, s.Since, s.Resumed, s.Refused = phase, decision.At, false, nil
	if !s.Running() {
		s.Paused = false
	}
}

func (d *Document) step(s *RolloutState, decision *Decision) error {
	if err := s.running(); err != nil {
		return err
	}
	switch {
	case s.Phase == PhaseShadow:
		s.enter(PhaseStep, *decision)
	case s.Step+1 < len(d.Rollout.Steps):
		s.Step++
		s.enter(PhaseStep, *decision)
	default:
		decision.Event = DecidePromote
		s.enter(PhasePromoted, *decision)
	}
	return nil
}

// running is the error of decisions for which a rollout must not have ended.
func (s *RolloutState) running() error {
	switch s.Phase {
	case PhasePromoted:
		return errors.New("the rollout is promoted: there is no step left")
	case PhaseRolledBack:
		return errors.New("the rollout is rolled back: retry it, or change it in the document")
	}
	return nil
}

// with is the override with another state of the rollout.
func (o *Override) with(state *RolloutState, canary string) *Override {
	next := state.alone()
	if o.Holds(state.Decision.At) && !(state.Phase == PhaseRolledBack && o.Weights[canary] > 0) {
		hold := *o
		hold.Rollout = state
		return &hold
	}
	return next
}

// Released is what is left of an override without its hold: the state of a
// rollout that it carried, nil where it carried none.
func (o *Override) Released() *Override {
	if o == nil || o.Rollout == nil {
		return nil
	}
	return o.Rollout.alone()
}

func (s *RolloutState) alone() *Override {
	return &Override{Kind: OverrideRollout, Basis: s.Basis, Rollout: s, By: s.Decision.By, Reason: s.Decision.Reason, At: s.Decision.At}
}

// WithHold is a hold that carries on what o knows of the document's rollout. O
// may be nil.
func (o *Override) WithHold(d *Document, hold Override) *Override {
	hold.Kind, hold.Basis, hold.Rollout = OverrideHold, d.Basis(), o.stateFor(d)
	return &hold
}
