package rollout

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
)

// State is where a rollout stands.
type State struct {
	// Step is ShadowStep or the index of a step.
	Step int
	// Since is when it was entered.
	Since time.Time
	// Paused: no step is left upwards, whatever the evidence.
	Paused bool
	// Resumed: a person has let the rollout go on from this step's pause point.
	Resumed bool
}

// StateOf is the state of a rollout that is under way.
func StateOf(s *configs.RolloutState) State {
	state := State{Step: s.Step, Since: s.Since, Paused: s.Paused, Resumed: s.Resumed}
	if s.Phase == configs.PhaseShadow {
		state.Step = ShadowStep
	}
	return state
}

// Action is what is to be done.
type Action string

// The actions.
const (
	// Hold: stay, the evidence is not complete.
	Hold Action = "hold"
	// Pause: stay, a person has to let it go on.
	Pause Action = "pause"
	// Unclear: stay, the step's time is over without enough evidence.
	Unclear Action = "inconclusive"
	// Advance: enter the next step.
	Advance Action = "advance"
	// Promote: give the canary all traffic.
	Promote Action = "promote"
	// Rollback: give stable all traffic.
	Rollback Action = "rollback"
)

// mismatchAlpha bounds the chance that an assignment as wanted counts as a
// mismatch, over all steps and looks.
const mismatchAlpha = 0.001

// Verdict is what the evidence comes to, with its numbers.
type Verdict struct {
	Action Action
	// Reason says why in a sentence's part: "guard errors: ln E 7.1 ≥ 6.9 …",
	// for classes with the class and the direction.
	Reason string
	// Guard is the guard that takes the canary back; only where Decisive.
	Guard    Guard
	Decisive bool
	// Waiting is what is missing to go on, most important first.
	Waiting []string
	// Judgements are those of the guards that are on in this step.
	Judgements []Judgement
	// Requests and StableRequests are how many of the arms' requests (callers,
	// where traffic is sticky) were judged in the step.
	Requests, StableRequests int
	// Mismatch reports that the assigned shares are not what was wanted: then
	// the arms differ in more than their version, and no step is left upwards.
	Mismatch                       bool
	MismatchLnE, MismatchThreshold float64
	// Elapsed is how long the step has lasted, never negative.
	Elapsed time.Duration
}

// Decide says what the evidence of the state's step comes to at a time. Guards
// come first: a canary that is worse is taken back even if the rollout is
// paused or its assignment looks odd. Going on needs the step's min_time and
// min_requests, shares as wanted, and the content of all guards. Both state and
// total are only read; the same arguments give the same verdict. A clock that
// was set back makes steps longer and never shorter.
func (p *Plan) Decide(s State, t *Total, now time.Time) Verdict {
	v := Verdict{Action: Hold, Elapsed: max(0, now.Sub(s.Since))}
	if s.Step < p.First() || s.Step >= len(p.Steps) {
		v.Reason = fmt.Sprintf("step %d is none of this rollout's", s.Step+1)
		return v
	}
	if t == nil || t.Step != s.Step {
		t = &Total{Step: s.Step}
	}
	step := p.step(s.Step)
	v.Requests, v.StableRequests = t.Requests(true), t.Requests(false)
	v.judge(p, t)
	v.matchShares(p, t)
	if v.Decisive {
		return v
	}
	v.collect(step)
	over := step.MaxTime > 0 && v.Elapsed >= step.MaxTime
	switch {
	case s.Paused:
		v.Action, v.Reason = Pause, "paused by a person"
	case len(v.Waiting) == 0:
		v.goOn(p, s, step, "the evidence is complete")
	case v.Mismatch:
		v.Reason = "the arms' shares are not as wanted"
	case !over:
		v.Reason = "waits for " + v.Waiting[0]
	case p.OnInconclusive == configs.InconclusivePromote:
		v.goOn(p, s, step, "max_time is over without a verdict, and on_inconclusive is promote")
	case p.OnInconclusive == configs.InconclusiveRollback:
		v.Action, v.Reason = Rollback, "max_time is over without a verdict, and on_inconclusive is rollback"
	default:
		v.Action, v.Reason = Unclear, "max_time is over without a verdict: "+strings.Join(v.Waiting, "; ")
	}
	return v
}

// step is a step of the plan; ShadowStep has the shadow guard's min_samples.
func (p *Plan) step(i int) Step {
	if i == ShadowStep {
		return Step{}
	}
	return p.Steps[i]
}

// judge asks the guards that are on in the step.
func (v *Verdict) judge(p *Plan, t *Total) {
	for g := range guards {
		if !p.Guards.Has(g) || t.Step == ShadowStep && g != Shadow {
			continue
		}
		j := p.judge(g, t)
		v.Judgements = append(v.Judgements, j)
		if j.Worse() && !v.Decisive {
			v.Action, v.Guard, v.Decisive = Rollback, g, true
			v.Reason = p.worse(j)
		}
	}
	if t.Step == ShadowStep {
		if n := p.samples - v.Judgements[0].Units; n > 0 {
			v.Waiting = append(v.Waiting, fmt.Sprintf("%d more compared copies (min_samples)", n))
		}
	}
}

// worse says why a guard takes the canary back.
func (p *Plan) worse(j Judgement) string {
	lead := fmt.Sprintf("guard %s: ln E %.2f ≥ %.2f with ", j.Guard, j.LnE, j.Threshold)
	switch j.Guard {
	case Classes:
		direction := "more"
		if j.Fewer {
			direction = "less"
		}
		return lead + fmt.Sprintf("%s %s often: %d of %d, stable %d of %d", p.className(j.Class), direction, j.Events, j.Units, j.StableEvents, j.StableUnits)
	case Shadow:
		return lead + fmt.Sprintf("%d of %d bad", j.Events, j.Units)
	}
	return lead + fmt.Sprintf("%d of %d bad, stable %d of %d", j.Events, j.Units, j.StableEvents, j.StableUnits)
}

// className is a class for people: its name where it has one, else its number.
func (p *Plan) className(class int) string {
	switch {
	case class == classes-1:
		return "all other classes"
	case class < len(p.ClassNames):
		return "class " + p.ClassNames[class]
	}
	return fmt.Sprintf("class %d", class)
}

// matchShares tests the assigned shares against the wanted ones.
func (v *Verdict) matchShares(p *Plan, t *Total) {
	w := p.Share(t.Step)
	if w == 0 {
		return
	}
	j := float64(t.Step - p.First() + 1)
	v.MismatchThreshold = -math.Log(mismatchAlpha / (j * (j + 1)))
	canary, stable := float64(t.requests[1].of(Errors)), float64(t.requests[0].of(Errors))
	for _, r := range t.sample.rows {
		switch {
		case r.position() != t.Step+1:
		case r.canary():
			canary++
		default:
			stable++
		}
	}
	v.MismatchLnE = finite(lnMismatch(w, canary, stable))
	v.Mismatch = v.MismatchLnE >= v.MismatchThreshold
	if v.Mismatch {
		v.Waiting = append(v.Waiting, fmt.Sprintf("shares as wanted: the canary has %.2f %% of %d, not %.2f %%", 100*canary/(canary+stable), int(canary+stable), 100*w))
	}
}

// collect adds what the step and its guards are still waiting for.
func (v *Verdict) collect(step Step) {
	for _, j := range v.Judgements {
		switch {
		case j.Content():
		case j.Events == 0:
			v.Waiting = append(v.Waiting, fmt.Sprintf("%d more good units of the canary (guard %s)", j.Lacking, j.Guard))
		default:
			v.Waiting = append(v.Waiting, fmt.Sprintf("%d more good units of the canary, or a better ratio to stable (guard %s: %d of %d bad)", j.Lacking, j.Guard, j.Events, j.Units))
		}
	}
	if n := step.MinRequests - v.Requests; n > 0 {
		v.Waiting = append(v.Waiting, fmt.Sprintf("%d more requests of the canary (min_requests)", n))
	}
	if left := step.MinTime - v.Elapsed; left > 0 {
		v.Waiting = append(v.Waiting, fmt.Sprintf("%s more (min_time)", left.Round(time.Second)))
	}
}

// goOn leaves the step upwards, or waits for the person that it wants.
func (v *Verdict) goOn(p *Plan, s State, step Step, reason string) {
	switch v.Reason = reason; {
	case step.Pause && !s.Resumed:
		v.Action, v.Reason = Pause, reason+"; the step has a pause: a person has to resume it"
	case s.Step == len(p.Steps)-1:
		v.Action = Promote
	default:
		v.Action = Advance
	}
}
