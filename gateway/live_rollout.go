package gateway

import (
	"sync/atomic"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
)

// liveRollout is one run of a rollout as this gateway takes part in it. The
// reconciler owns it; the data path counts into its recorder, and the exchange
// brings what the rest of the fleet has seen.
type liveRollout struct {
	model string
	// id is RolloutState.ID.
	id       string
	plan     *rollout.Plan
	recorder *rollout.Recorder
	others   atomic.Pointer[[]*rollout.Evidence]
	// quality is the kind of feedback by which its versions are compared.
	quality string
	// step is the one that the recorder is at.
	step int
	// verdict is the newest one, total what it rests on.
	verdict rollout.Verdict
	total   *rollout.Total
	// told is the action that was logged last.
	told rollout.Action
}

// beforeSteps is no step: nothing is counted in it.
const beforeSteps = rollout.ShadowStep - 1

// newLiveRollout begins to take part. The document was checked when it was
// parsed, and so was the state that names it. classNames may be nil.
func newLiveRollout(model, epoch string, doc *configs.Document, state *configs.RolloutState, classNames []string) (*liveRollout, error) {
	plan, err := rollout.Compile(state.ID(), doc.Rollout.WithDefaults())
	if err != nil {
		return nil, err
	}
	plan.ClassNames = classNames
	return &liveRollout{model: model, id: state.ID(), plan: plan, recorder: rollout.NewRecorder(plan.ID, epoch),
		quality: feedbackKindOf(doc), step: beforeSteps}, nil
}

// enter makes the recorder count in the state's step. It must come before the
// table in which requests are assigned in that step.
func (l *liveRollout) enter(state *configs.RolloutState) {
	if step := rollout.StateOf(state).Step; step != l.step {
		l.step = step
		l.merge()
		reference, _ := l.total.SlowReference()
		l.recorder.Begin(step, reference)
	}
}

// merge adds up what this gateway and the others have seen.
func (l *liveRollout) merge() {
	evidence := []*rollout.Evidence{l.recorder.Snapshot()}
	if others := l.others.Load(); others != nil {
		evidence = append(evidence, *others...)
	}
	l.total = l.plan.Merge(l.step, evidence...)
}

// judge says what the evidence comes to.
func (l *liveRollout) judge(state *configs.RolloutState, now time.Time) {
	l.merge()
	if _, known := l.recorder.Reference(); !known {
		if reference, ok := l.total.SlowReference(); ok {
			l.recorder.SetReference(reference)
		}
	}
	l.verdict = l.plan.Decide(rollout.StateOf(state), l.total, now)
}

// numbers are the guards' in the newest verdict, for status and audit.
func (l *liveRollout) numbers() []configs.GuardEvidence {
	all := make([]configs.GuardEvidence, 0, len(l.verdict.Judgements))
	for _, j := range l.verdict.Judgements {
		all = append(all, j.Evidence())
	}
	return all
}
