// Package rollout decides who answers, and whether it may go on answering. It
// does no I/O, reads no clock and starts no goroutine: the gateway brings it
// requests' keys, outcomes, other gateways' evidence and the time, and applies
// what it says.
//
// A [Split] assigns callers to versions by weight. A [Plan] is a compiled
// rollout: steps of rising weight, and guards that the canary must keep. A
// [Recorder] counts what happened on this gateway in one step, an [Evidence] is
// its snapshot for the rest of the fleet, [Plan.Merge] adds up those of all
// gateways, and [Plan.Decide] says hold, advance, promote or roll back, with
// its numbers. [Plan.Forecast] says beforehand how much traffic that takes.
//
//	plan, err := rollout.Compile(id, document.Rollout)
//	recorder := rollout.NewRecorder(plan.ID, "gateway-1/4711")
//	recorder.Begin(0, 0)
//	recorder.Record(rollout.Observation{Canary: true, Judged: rollout.Of(rollout.Errors), Bad: rollout.Of(rollout.Errors)})
//	total := plan.Merge(0, recorder.Snapshot(), others...)
//	verdict := plan.Decide(rollout.State{Step: 0, Since: since}, total, now)
//
// # What is promised
//
// A canary that is as good as its guards ask is rolled back with a probability
// of at most alpha, over all guards, steps and looks together, however often
// anybody looks and however the traffic swings. It holds because each guard is
// an e-process: under the null a non-negative supermartingale that starts at 1,
// which by Ville's inequality (1939) ever reaches 1/a with a probability of at
// most a. What has to be true for that, the formulas, and what was seen in
// simulations stand in the package's README.
//
// # Guards
//
// A ratio guard (errors, nonfinite, slow, feedback) looks at bad events only
// (Lindon and Malek, NeurIPS 2022). If the canary's rate is at most r0 times
// stable's, a bad event came from the canary with a probability of at most
// r0·w/(r0·w+1−w), w being the canary's share of the assignment. The evidence
// against that is the average of 16 likelihood ratios for larger ratios. The
// classes guard runs one such process per class and direction and averages
// them; the shadow guard has no control and tests a rate.
//
// # Units
//
// With sticky routing a caller meets the same version again and again, so that
// its requests are not independent evidence: the unit is the caller. A caller
// counts at most once per guard and step, over the whole fleet; one that was
// counted on stable in an earlier step counts again with the probability of
// having moved since, one that was counted on the canary no more.
package rollout
