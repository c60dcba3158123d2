package rollout

import (
	"fmt"
	"math"
	"time"

	"github.com/segue-serving/segue/configs"
)

const (
	// ShadowStep is the step before the first: the canary answers copies only.
	// A plan has it if the shadow guard is on.
	ShadowStep = -1
	// MaxSteps is how many steps a rollout has at most.
	MaxSteps = 100
	// MaxWeight is the largest weight of a step in percent. Beyond it too
	// little of stable is left to compare with.
	MaxWeight = 90
)

// Plan is a compiled rollout. It is immutable and safe for concurrent use.
type Plan struct {
	// ID names the rollout: what an override is bound to, part of the key of
	// evidence, and the default salt of the assignment.
	ID             string
	Stable, Canary string
	Steps          []Step
	// Guards are the guards that are on.
	Guards Guards
	// Alpha and PromoteAlpha bound the chances of false verdicts.
	Alpha, PromoteAlpha float64
	// OnInconclusive is what happens when a step's time is over without a
	// verdict: one of configs.InconclusiveHold, Promote and Rollback.
	OnInconclusive string
	// ClassNames are the classes' names by position, for reasons; nil where they
	// have none. Whoever compiled the plan may set them before it is used.
	ClassNames []string

	ratios       [ratioGuards]ratio
	classRatio   float64
	disagreement float64
	samples      int
}

// Step is one weight of a plan.
type Step struct {
	// Share is the canary's part of the requests, 0 to 0.9.
	Share            float64
	MinTime, MaxTime time.Duration
	MinRequests      int
	Pause            bool
}

// ratio is what one guard tolerates, and what it needs to be content.
type ratio struct{ tolerated, excluded, rate float64 }

// Compile makes a rollout a plan, what it leaves out being filled in. id is
// configs.RolloutID: the same on all gateways, and another for every other
// rollout. It refuses what configs.Parse refuses.
func Compile(id string, r *configs.Rollout) (*Plan, error) {
	r = r.WithDefaults()
	p := &Plan{
		ID: id, Stable: r.Stable, Canary: r.Canary,
		Alpha: r.Alpha, PromoteAlpha: r.PromoteAlpha, OnInconclusive: r.OnInconclusive,
	}
	if id == "" || len(id) > maxName {
		return nil, fmt.Errorf("rollout: id %q: want 1 to %d bytes", id, maxName)
	}
	if r.Stable == r.Canary {
		return nil, fmt.Errorf("rollout %s: canary and stable are both version %s", id, r.Canary)
	}
	if !within(r.Alpha, 0, 1) || !within(r.PromoteAlpha, 0, 1) {
		return nil, fmt.Errorf("rollout %s: alpha %v and promote_alpha %v: want them over 0 and under 1", id, r.Alpha, r.PromoteAlpha)
	}
	switch p.OnInconclusive {
	case configs.InconclusiveHold, configs.InconclusivePromote, configs.InconclusiveRollback:
	default:
		return nil, fmt.Errorf("rollout %s: on_inconclusive %q: want hold, promote or rollback", id, r.OnInconclusive)
	}
	if err := p.addSteps(r.Steps); err != nil {
		return nil, fmt.Errorf("rollout %s: %w", id, err)
	}
	if err := p.addGuards(r.Guards); err != nil {
		return nil, fmt.Errorf("rollout %s: %w", id, err)
	}
	return p, nil
}

func (p *Plan) addSteps(steps []configs.Step) error {
	if len(steps) == 0 || len(steps) > MaxSteps {
		return fmt.Errorf("%d steps: want 1 to %d", len(steps), MaxSteps)
	}
	before := 0.0
	for i, s := range steps {
		if !(s.Weight > before && s.Weight <= MaxWeight) {
			return fmt.Errorf("step %d: weight %v after %v: want weights that rise, up to %v", i+1, s.Weight, before, MaxWeight)
		}
		before = s.Weight
		p.Steps = append(p.Steps, Step{
			Share: s.Weight / 100, MinTime: time.Duration(s.MinTime), MaxTime: time.Duration(s.MaxTime),
			MinRequests: s.MinRequests, Pause: s.Pause,
		})
	}
	return nil
}

func (p *Plan) addGuards(g configs.Guards) error {
	compare := func(which Guard, r *configs.RatioGuard) error {
		if r == nil {
			return nil
		}
		if !within(r.PromoteRatio, r.MaxRatio, math.Inf(1)) || r.MaxRatio < 1 || !within(r.MaxRate, 0, 1) {
			return fmt.Errorf("guard %s: max_ratio %v, promote_ratio %v, max_rate %v: want 1 or more, more than that, and a rate over 0 and under 1", which, r.MaxRatio, r.PromoteRatio, r.MaxRate)
		}
		p.Guards = p.Guards.With(which)
		p.ratios[which] = ratio{r.MaxRatio, r.PromoteRatio, r.MaxRate}
		return nil
	}
	var feedback *configs.RatioGuard
	if g.Feedback != nil {
		feedback = &g.Feedback.RatioGuard
	}
	for which, r := range []*configs.RatioGuard{g.Errors, g.NonFinite, g.Slow, feedback} {
		if err := compare(Guard(which), r); err != nil {
			return err
		}
	}
	if c := g.Classes; c != nil {
		if !(c.MaxRatio >= 1) || math.IsInf(c.MaxRatio, 0) {
			return fmt.Errorf("guard classes: max_ratio %v: want 1 or more", c.MaxRatio)
		}
		p.Guards, p.classRatio = p.Guards.With(Classes), c.MaxRatio
	}
	if s := g.Shadow; s != nil {
		if !within(s.MaxDisagreement, 0, 1) {
			return fmt.Errorf("guard shadow: max_disagreement %v: want it over 0 and under 1", s.MaxDisagreement)
		}
		p.Guards, p.disagreement, p.samples = p.Guards.With(Shadow), s.MaxDisagreement, s.MinSamples
	}
	if p.Guards == 0 {
		return fmt.Errorf("no guard is on")
	}
	return nil
}

func within(x, low, high float64) bool { return x > low && x < high }

// First is the step that the rollout begins with: ShadowStep or 0.
func (p *Plan) First() int {
	if p.Guards.Has(Shadow) {
		return ShadowStep
	}
	return 0
}

// Share is the canary's part of the requests in a step; 0 in ShadowStep and
// outside of the plan.
func (p *Plan) Share(step int) float64 {
	if step < 0 || step >= len(p.Steps) {
		return 0
	}
	return p.Steps[step].Share
}

// Split assigns callers in a step. An empty salt means the rollout's ID, so that
// the same callers are not always the first to meet something new.
func (p *Plan) Split(step int, salt string) (*Split, error) {
	if salt == "" {
		salt = p.ID
	}
	w := p.Share(step)
	return NewSplit(salt, []Arm{{Version: p.Stable, Weight: 1 - w}, {Version: p.Canary, Weight: w}})
}

// alpha is a guard's part of the plan's in a step: shared equally by the guards,
// and by α/(j(j+1)) over the steps, whose sum is α however many there are.
func (p *Plan) alpha(step int) float64 {
	j := float64(step - p.First() + 1)
	return p.Alpha / float64(p.count()) / (j * (j + 1))
}

func (p *Plan) count() int {
	n := 0
	for g := range guards {
		if p.Guards.Has(g) {
			n++
		}
	}
	return n
}
