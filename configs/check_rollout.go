package configs

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Bounds of a rollout.
const (
	// maxStepWeight is the largest judged weight: guards compare with stable,
	// and beyond it too little of stable is left to compare with. 100 % is the
	// act of promotion.
	maxStepWeight = 90
	maxSteps      = 100
	maxFeedback   = 30 * 24 * time.Hour
)

// Values of Rollout.OnInconclusive.
const (
	// InconclusiveHold stays at the step and waits for a verdict or a person.
	InconclusiveHold = "hold"
	// InconclusivePromote goes on to the next step.
	InconclusivePromote = "promote"
	// InconclusiveRollback takes the canary back.
	InconclusiveRollback = "rollback"
)

// Values of FeedbackGuard.Kind.
const (
	// FeedbackLabel takes a wrong label for the bad event.
	FeedbackLabel = "label"
	// FeedbackReward takes a reward of at most the threshold for it.
	FeedbackReward = "reward"
)

func checkRollout(d *Document, r *report) {
	ro := d.Rollout
	checkArm(d, ro.Stable, "rollout.stable", r)
	checkArm(d, ro.Canary, "rollout.canary", r)
	if ro.Canary == ro.Stable && r.at["rollout.canary"] != nil && r.at["rollout.stable"] != nil && !r.spoilt("rollout.canary") && !r.spoilt("rollout.stable") {
		r.problem("rollout.canary", "is the stable version: there is nothing to roll out")
	}
	between(r, "rollout.attempt", ro.Attempt, math.MaxInt)
	checkSteps(ro.Steps, r)
	within(r, "rollout.alpha", ro.Alpha, 0.5)
	within(r, "rollout.promote_alpha", ro.PromoteAlpha, 0.5)
	oneOf(r, "rollout.on_inconclusive", ro.OnInconclusive, InconclusiveHold, InconclusivePromote, InconclusiveRollback)
	if ro.OnInconclusive != "" && ro.OnInconclusive != InconclusiveHold && !slices.ContainsFunc(ro.Steps, func(s Step) bool { return s.MaxTime > 0 }) && !r.spoilt("rollout") {
		r.warn("rollout.on_inconclusive", "has no effect without a max_time: a step waits for a verdict without end")
	}
	checkGuards(d, r)
	if r.at["traffic.names"] != nil && !r.spoilt("traffic.names") {
		r.warn("traffic.names", "has no effect beside a rollout: its variants are stable and canary")
	}
}

// checkArm reports a version of the rollout that is not there.
func checkArm(d *Document, name, path string, r *report) {
	if r.at[path] != nil {
		checkVersionName(d, name, path, r)
	}
}

func checkSteps(steps []Step, r *report) {
	const path = "rollout.steps"
	switch {
	case r.at[path] == nil:
	case len(steps) == 0 && !r.spoilt(path):
		r.problem(path, "empty: name at least one weight")
	case len(steps) > maxSteps:
		r.problem(path, "are %d, the most is %d", len(steps), maxSteps)
	}
	for i, s := range steps {
		at := indexPath(path, i)
		switch weight := at + ".weight"; {
		case r.at[weight] == nil || r.spoilt(weight):
		case s.Weight <= 0:
			r.problem(weight, "must be over 0 percent, found %v", s.Weight)
		case s.Weight > maxStepWeight:
			r.problem(weight, "must be at most %v percent, found %v: what follows the last step is the promotion to 100", maxStepWeight, s.Weight)
		case i > 0 && s.Weight <= steps[i-1].Weight:
			r.problem(weight, "is %v after %v: weights must rise from step to step", s.Weight, steps[i-1].Weight)
		}
		between(r, at+".min_requests", s.MinRequests, math.MaxInt)
		if r.at[at+".max_time"] != nil && s.MaxTime == 0 {
			r.problem(at+".max_time", "must be longer than 0s: leave it out for no end")
		} else if s.MaxTime > 0 && s.MaxTime < s.MinTime {
			r.problem(at+".max_time", "is %s and shorter than min_time, %s", s.MaxTime, s.MinTime)
		}
	}
}

func checkGuards(d *Document, r *report) {
	const path = "rollout.guards"
	g := d.Rollout.Guards
	checkRatio(g.Errors, path+".errors", DefaultMaxRatio, r)
	checkRatio(g.NonFinite, path+".nonfinite", DefaultMaxRatio, r)
	checkRatio(g.Slow, path+".slow", DefaultSlowMaxRatio, r)
	if g.Classes != nil {
		checkMaxRatio(g.Classes.MaxRatio, path+".classes", r)
	}
	if g.Shadow != nil {
		checkShadowGuard(d, path+".shadow", r)
	}
	if g.Feedback != nil {
		oneOf(r, path+".feedback.kind", g.Feedback.Kind, FeedbackLabel, FeedbackReward)
		if r.at[path+".feedback.threshold"] != nil && g.Feedback.Kind == FeedbackLabel {
			r.problem(path+".feedback.threshold", "is for rewards: a label is right or wrong")
		}
		checkRatio(&g.Feedback.RatioGuard, path+".feedback", DefaultMaxRatio, r)
	}
}

func checkMaxRatio(ratio float64, path string, r *report) {
	if path += ".max_ratio"; r.at[path] != nil && !r.spoilt(path) && (ratio < 1 || ratio > maxRatio) {
		r.problem(path, "must be from 1 to %v, found %v", maxRatio, ratio)
	}
}

// maxRatio bounds the ratios of rates; nobody means more.
const maxRatio = 1_000_000

func checkRatio(g *RatioGuard, path string, maxByDefault float64, r *report) {
	if g == nil {
		return
	}
	checkMaxRatio(g.MaxRatio, path, r)
	if at := path + ".promote_ratio"; r.at[at] != nil && !r.spoilt(at) && !r.spoilt(path+".max_ratio") {
		tolerated := g.MaxRatio
		if tolerated == 0 {
			tolerated = maxByDefault
		}
		switch {
		case g.PromoteRatio <= tolerated:
			r.problem(at, "must be over max_ratio, %v, found %v", tolerated, g.PromoteRatio)
		case g.PromoteRatio > 2*maxRatio:
			r.problem(at, "must be at most %v, found %v", 2*maxRatio, g.PromoteRatio)
		}
	}
	within(r, path+".max_rate", g.MaxRate, 1)
}

func checkShadowGuard(d *Document, path string, r *report) {
	g := d.Rollout.Guards.Shadow
	within(r, path+".max_disagreement", g.MaxDisagreement, 1)
	if at := path + ".tolerance"; r.at[at] != nil && !r.spoilt(at) && g.Tolerance <= 0 {
		r.problem(at, "must be over 0, found %v", g.Tolerance)
	}
	if at := path + ".min_samples"; r.at[at] != nil && !r.spoilt(at) && g.MinSamples < 1 {
		r.problem(at, "must be at least 1, found %d", g.MinSamples)
	}
	if d.Traffic.Shadow[d.Rollout.Canary] == 0 && !r.spoilt("traffic.shadow") && !r.spoilt("rollout.canary") && d.Rollout.Canary != "" {
		r.problem(path, `needs copies to judge: add traffic.shadow: {%q: 20}`, d.Rollout.Canary)
	}
}

// within reports a number that was given and is not over 0 and under a bound
// (for 0.5: at most that).
func within(r *report, path string, n, bound float64) {
	if r.at[path] == nil || r.spoilt(path) {
		return
	}
	switch {
	case bound == 1 && (n <= 0 || n >= 1):
		r.problem(path, "must be over 0 and under 1, found %v", n)
	case n <= 0 || n > bound:
		r.problem(path, "must be over 0 and at most %v, found %v", bound, n)
	}
}

func checkShadow(d *Document, r *report) {
	const path = "traffic.shadow"
	shadow := d.Traffic.Shadow
	if r.at[path] != nil && !r.spoilt(path) && len(shadow) == 0 {
		r.problem(path, "empty: name at least one version, or leave it out")
	}
	for _, name := range slices.Sorted(maps.Keys(shadow)) {
		at := keyPath(path, name)
		checkVersionName(d, name, at, r)
		if percent := shadow[name]; !r.spoilt(at) && (percent < 0 || percent > 100) {
			r.problem(at, "must be from 0 to 100 percent, found %v", percent)
		}
		if r.spoilt(at) {
			continue
		}
		switch {
		case d.Rollout != nil && name == d.Rollout.Stable:
			r.problem(at, "is the rollout's stable version, which answers: copies are for versions without weight")
		case d.Rollout == nil && len(d.Traffic.Weights) == 0:
			r.problem(at, "needs traffic.weights or a rollout, which say who answers: copies are for versions without weight")
		case d.Traffic.Weights[name] > 0:
			r.problem(at, "has weight %v and answers itself: copies are for versions without weight", d.Traffic.Weights[name])
		}
	}
}

func checkFeedback(f Feedback, r *report) {
	if at := "feedback.expires"; r.at[at] != nil && !r.spoilt(at) && (f.Expires == 0 || f.Expires > Duration(maxFeedback)) {
		r.problem(at, "must be longer than 0s and at most %s (30 days), found %s", Duration(maxFeedback), f.Expires)
	}
	if at := "feedback.labels"; r.at[at] != nil && !r.spoilt(at) && len(f.Labels) == 0 {
		r.problem(at, "empty: no label would be taken; leave it out to take any")
	}
	first := map[string]int{}
	for i, label := range f.Labels {
		at := indexPath("feedback.labels", i)
		switch {
		case r.spoilt(at):
		case strings.TrimSpace(label) == "" || len(label) > maxLabel:
			r.problem(at, "must have 1 to %d bytes", maxLabel)
		default:
			once(r, first, label, i, at, "the text of feedback.labels")
		}
	}
}

// maxLabel bounds one label.
const maxLabel = 128
