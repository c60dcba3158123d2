package gateway

import (
	"math"
	"time"

	"github.com/segue-serving/segue/gateway/rollout"
)

// rolloutRoute is a rollout whose canary has a part of the traffic, as the data
// path sees it: in which arm a request counts, and where. It is immutable.
type rolloutRoute struct {
	recorder       *rollout.Recorder
	stable, canary string
	// seed is that of callers' hashes, step the step in force, started when this
	// run of the rollout began.
	seed    uint64
	step    int
	started time.Time
	// feedback is the kind that is judged, feedbackNone where none is; a reward
	// of threshold or less is bad.
	feedback  feedbackKind
	threshold float64
	// quality is the name of the kind that versions are compared by.
	quality string
	// judge is told when there is something to judge at once. It never blocks.
	judge func()
}

// assignment is the arm that a request was drawn into. The zero value counts
// for nothing: the request named its version, was forced by a tester, or there
// is no rollout.
type assignment struct {
	rollout *rolloutRoute
	canary  bool
	// unit is the hash of the caller's key, 0 without one.
	unit uint64
}

// assign notes the arm that a request was drawn into.
func (m *modelRoute) assign(version string, key []byte) assignment {
	r := m.rollout
	if r == nil || version != r.canary && version != r.stable {
		return assignment{}
	}
	a := assignment{rollout: r, canary: version == r.canary}
	if len(key) > 0 {
		a.unit = rollout.UnitOf(r.seed, key)
	}
	return a
}

// record says how the first try of a request ended, if that counts: the model
// was run, and how it ended says something about it.
func (a *assignment) record(ended outcome, predicted int, ran time.Duration) {
	if a.rollout == nil {
		return
	}
	o := rollout.Observation{Step: a.rollout.step, Canary: a.canary, Unit: a.unit}
	switch ended {
	case outcomeOK:
		o.Judged = rollout.Of(rollout.Errors, rollout.NonFinite)
		if predicted >= 0 {
			o.Judged, o.Class = o.Judged.With(rollout.Classes), predicted
		}
	case outcomeNonFinite:
		o.Judged, o.Bad = rollout.Of(rollout.Errors, rollout.NonFinite), rollout.Of(rollout.NonFinite)
	case outcomeModelError, outcomeTimeout:
		o.Judged, o.Bad = rollout.Of(rollout.Errors), rollout.Of(rollout.Errors)
	default:
		return
	}
	if ran > 0 && o.Judged.Has(rollout.NonFinite) {
		judged, slow := a.rollout.recorder.Run(a.canary, ran.Seconds())
		if judged {
			o.Judged = o.Judged.With(rollout.Slow)
		}
		if slow {
			o.Bad = o.Bad.With(rollout.Slow)
		}
	}
	a.rollout.recorder.Record(o)
	if a.canary && o.Bad != 0 {
		a.rollout.judge()
	}
}

// note is what a prediction's id carries of its assignment.
func (a *assignment) note(n *idNote) {
	if a.rollout == nil {
		return
	}
	n.step, n.unit = uint16(a.rollout.step+1), a.unit>>unitShift
}

// unitShift drops the bits of a caller's hash for which an id has no room; what
// is left are more than tables of callers keep.
const unitShift = 24

// recordFeedback counts feedback about a prediction that was drawn into an arm
// of this run of the rollout. It reports whether it still counts: only while
// the step is the one in which the prediction was made.
func (r *rolloutRoute) recordFeedback(id *predictionID, f *feedback, bad bool, value float64) bool {
	if r == nil || id.note.step == 0 || id.at.Before(r.started) {
		return false
	}
	canary := id.names.version == hashName(r.canary)
	if !canary && id.names.version != hashName(r.stable) {
		return false
	}
	if feedbackKindNames[f.kind] == r.quality {
		r.recorder.Value(canary, value)
	}
	if int(id.note.step) != r.step+1 {
		return false
	}
	if f.kind != r.feedback {
		return true
	}
	if f.kind == feedbackReward {
		bad = f.reward <= r.threshold
	}
	o := rollout.Observation{Step: r.step, Canary: canary, Unit: id.note.unit << unitShift, Judged: rollout.Of(rollout.Feedback)}
	if bad {
		o.Bad = o.Judged
	}
	r.recorder.Record(o)
	if canary && bad {
		r.judge()
	}
	return true
}

// classIndex is a class as guards count it, -1 for none.
func (c *classOutput) classIndex(predicted class) int {
	switch {
	case predicted == 0:
		return -1
	case c.texts:
		return int(predicted) % (classesTold - 1)
	}
	return min(int(predicted)-1, math.MaxInt16)
}

// classesTold is how many classes guards tell apart, the last being all others.
const classesTold = 64
