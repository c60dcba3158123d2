package configs

import (
	"maps"
	"math"
	"slices"
	"time"
)

func checkOverride(o *Override, r *report) {
	oneOf(r, "kind", string(o.Kind), string(OverrideHold), string(OverrideDelete), string(OverrideRollout))
	checkBasis(o.Basis, "basis", r)
	switch {
	case r.spoilt("kind"):
	case o.Kind != OverrideHold && r.at["weights"] != nil:
		r.problem("weights", "are for holds: leave them out")
	case len(o.Weights) > 0:
		checkWeights(o.Weights, "weights", r)
	case o.Kind == OverrideHold && !r.spoilt("weights"):
		r.problem("weights", "missing: name at least one version")
	}
	switch {
	case o.Rollout != nil && o.Kind == OverrideDelete:
		r.problem("rollout", "has no meaning in a deletion: leave it out")
	case o.Rollout != nil:
		checkState(o.Rollout, r)
	case o.Kind == OverrideRollout && !r.spoilt("rollout"):
		r.problem("rollout", "missing: say how far it has come")
	}
	checkUntil(o, r)
}

func checkUntil(o *Override, r *report) {
	switch {
	case r.spoilt("until") || r.spoilt("at"):
	case o.Kind == OverrideRollout:
		if r.at["until"] != nil {
			r.problem("until", "is for holds and deletions: a rollout's state counts while the document's basis is the same")
		}
	case r.at["until"] == nil:
		r.problem("until", "missing")
	case r.at["at"] == nil:
	case o.Until.Sub(o.At) <= 0:
		r.problem("until", "must be later than at")
	case o.Until.Sub(o.At) > MaxHold:
		r.problem("until", "is %s after at: an override lasts at most %s (7 days)", o.Until.Sub(o.At).Round(time.Second), MaxHold)
	}
}

func checkBasis(basis, path string, r *report) {
	if r.at[path] == nil || r.spoilt(path) || basis == "" {
		return
	}
	if message := checkDigest(basis); message != "" {
		r.problem(path, "%s", message)
	}
}

func checkState(s *RolloutState, r *report) {
	if s.Basis == "" && r.at["rollout.basis"] != nil && !r.spoilt("rollout.basis") {
		r.problem("rollout.basis", "empty: name what was decided on")
	}
	checkBasis(s.Basis, "rollout.basis", r)
	oneOf(r, "rollout.phase", string(s.Phase), string(PhaseShadow), string(PhaseStep), string(PhasePromoted), string(PhaseRolledBack))
	between(r, "rollout.retry", s.Retry, math.MaxInt)
	between(r, "rollout.step", s.Step, maxSteps-1)
	for i, refused := range s.Refused {
		at := indexPath("rollout.refused", i)
		if r.at[at+".version"] != nil && !r.spoilt(at+".version") {
			if err := CheckName(refused.Version); err != nil {
				r.problem(at+".version", "%s", err)
			}
		}
		checkBasis(refused.Digest, at+".digest", r)
	}
	if len(s.Refused) == 0 && s.Phase == PhaseRolledBack && !r.spoilt("rollout") {
		r.problem("rollout.refused", "missing: name what was taken back")
	}
	const decision = "rollout.decision"
	oneOf(r, decision+".event", string(s.Decision.Event), string(DecideStart), string(DecideStep), string(DecidePromote),
		string(DecideRollback), string(DecidePause), string(DecideResume), string(DecideRetry))
	checkBasis(s.Decision.Digest, decision+".digest", r)
	for i, e := range s.Decision.Evidence {
		at := indexPath(decision+".evidence", i)
		for path, n := range map[string]int{".events": e.Events, ".units": e.Units, ".stable_events": e.StableEvents, ".stable_units": e.StableUnits} {
			between(r, at+path, n, math.MaxInt)
		}
	}
}

// Check says why an override cannot apply to a document: it names versions
// that the document does not, or gives weight to one that the document's
// rollout has taken back. Nil means that it can.
func (o *Override) Check(d *Document) error {
	r := newReport()
	state := o.stateFor(d)
	for _, name := range slices.Sorted(maps.Keys(o.Weights)) {
		path := keyPath("weights", name)
		checkVersionName(d, name, path, r)
		if o.Weights[name] > 0 && state.Refuses(name, d.Versions[name].Digest) {
			r.problem(path, "the rollout has taken version %q back: retry the rollout, or change it", name)
		}
	}
	return r.err("")
}
