package configs

// Rollout says how a canary takes over from stable, and what must not be worse
// on the way. The gateway moves the weights; a document has a rollout or
// traffic.weights, never both.
type Rollout struct {
	// Stable and Canary are versions of the document, and not the same.
	Stable string `json:"stable"`
	Canary string `json:"canary"`
	// Attempt starts the same rollout again when it is changed to any other
	// number. Default 0.
	Attempt int `json:"attempt,omitempty"`
	// Steps are walked in order; their weights rise. What follows the last is
	// the promotion.
	Steps []Step `json:"steps"`
	// Guards are what must not be worse; none named means errors and
	// nonfinite with their defaults.
	Guards Guards `json:"guards,omitzero"`
	// Alpha bounds the chance that this rollout is rolled back although the
	// canary is as good as the guards ask, over all guards, steps and looks.
	// Default 0.01.
	Alpha float64 `json:"alpha,omitempty"`
	// PromoteAlpha bounds for each guard the chance that a step is left upwards
	// although the canary is worse than the guard tolerates. Default 0.05.
	PromoteAlpha float64 `json:"promote_alpha,omitempty"`
	// OnInconclusive is what happens when a step's max_time is over without
	// enough evidence: "hold" (default), "promote" (go on) or "rollback".
	OnInconclusive string `json:"on_inconclusive,omitempty"`
}

// Step is one weight of a rollout, and what it takes to leave it.
type Step struct {
	// Weight is the canary's percent of requests, over 0 and at most 90; the
	// rest is stable's.
	Weight float64 `json:"weight"`
	// MinTime is how long the step lasts at least. Default 0s.
	MinTime Duration `json:"min_time,omitempty"`
	// MinRequests is how many of the canary's requests (units, where traffic is
	// sticky) must have been judged before the step is left. Default 0.
	MinRequests int `json:"min_requests,omitempty"`
	// MaxTime is when a step without a verdict counts as inconclusive; default
	// is never, which holds.
	MaxTime Duration `json:"max_time,omitempty"`
	// Pause makes the step wait for a person: it is left by `seguectl resume`
	// or `promote` only.
	Pause bool `json:"pause,omitempty"`
}

// Guards are the promises that a canary is held to. A guard that is nil is off,
// unless all are; then errors and nonfinite are on.
type Guards struct {
	// Errors compares the rate of requests that the model failed or did not
	// answer in time.
	Errors *RatioGuard `json:"errors,omitempty"`
	// NonFinite compares the rate of answers with NaN or infinities.
	NonFinite *RatioGuard `json:"nonfinite,omitempty"`
	// Slow compares the rate of runs slower than stable's 99th percentile.
	// Default max_ratio 2.
	Slow *RatioGuard `json:"slow,omitempty"`
	// Classes compares how often each class is predicted. Default max_ratio 3.
	Classes *ClassGuard `json:"classes,omitempty"`
	// Shadow bounds the share of shadow copies that the canary answers
	// otherwise than what the client was answered.
	Shadow *ShadowGuard `json:"shadow,omitempty"`
	// Feedback compares what came back by the feedback endpoint.
	Feedback *FeedbackGuard `json:"feedback,omitempty"`
}

// RatioGuard tolerates a rate of bad events of the canary that is at most
// MaxRatio times stable's.
type RatioGuard struct {
	// MaxRatio is the largest tolerated ratio of the rates, at least 1.
	// Default 1 (slow: 2).
	MaxRatio float64 `json:"max_ratio,omitempty"`
	// PromoteRatio is the ratio that must be ruled out before a step is left;
	// over MaxRatio. Default 2 times MaxRatio.
	PromoteRatio float64 `json:"promote_ratio,omitempty"`
	// MaxRate is a rate of bad events, 0–1, that is good enough by itself: a
	// canary shown to be below it is promoted however few events stable has.
	// Default 0.01.
	MaxRate float64 `json:"max_rate,omitempty"`
}

// ClassGuard compares the mix of predicted classes with stable's at the same
// time. The class is the position of the largest value of the output's last
// dimension, or the value of an integer or string output.
type ClassGuard struct {
	// Output names the output; default is the first.
	Output string `json:"output,omitempty"`
	// MaxRatio is the largest tolerated ratio of a class's rates, either way.
	// Default 3.
	MaxRatio float64 `json:"max_ratio,omitempty"`
}

// ShadowGuard judges copies that the canary answered beside the version that
// answered the client. It needs traffic.shadow for the canary.
type ShadowGuard struct {
	// MaxDisagreement is the largest tolerated share of copies with another
	// label (or, without labels, with values further off than Tolerance), 0–1.
	MaxDisagreement float64 `json:"max_disagreement"`
	// Tolerance is the largest difference of one value that still agrees,
	// where outputs have no labels. Default 1e-3.
	Tolerance float64 `json:"tolerance,omitempty"`
	// MinSamples is how many copies must have been compared before the first
	// real request moves. Default 100.
	MinSamples int `json:"min_samples,omitempty"`
}

// FeedbackGuard compares labels or rewards.
type FeedbackGuard struct {
	// Kind is "label" (a wrong label is the bad event) or "reward" (a reward of
	// Threshold or less is).
	Kind string `json:"kind"`
	// Threshold splits rewards in good and bad; default 0.
	Threshold float64 `json:"threshold,omitempty"`
	RatioGuard
}
