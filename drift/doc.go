// Package drift compares what a model sees and says now with a reference, and
// alarms with a stated number of false alarms a month.
//
// A Profile is the reference: for every feature fixed bins and the counts of
// training data in them. A Window counts live rows in the same bins; windows
// add up over gateways and hours. Judge compares a window with the profile,
// with another window (last week's, or a canary's control), and returns a
// Report: which features alarm, how surely, by how much and in which
// direction. It returns a State too, which the next verdict of the same
// comparison wants, because rates of missing, unseen and out-of-range rows are
// tested over many windows.
//
//	profile, err := drift.Parse(body)
//	err = profile.Check(signature, model, version)
//	window := profile.NewWindow()
//	err = window.Add(inputs, outputs, unit)
//	err = fleet.Merge(window)
//	report, state = drift.Judge(drift.Comparison{Window: fleet, Policy: policy, State: state})
//
// # What is promised
//
// On rows that are drawn as the reference's were, at most
// Policy.FalseAlarmsPerMonth verdicts a month alarm in the mean, over all
// features, however often verdicts are made: each may spend the share of a
// month that has passed since the one before (Policy.Elapsed). Rows of one
// unit are not independent; their evidence is deflated by the design effect.
// The formulas, what has to be true for them, and what was seen in simulations
// stand in the package's README.
//
// Adding a row to a window allocates nothing. A window's memory and its
// encoding are bounded by the profile, whatever is added.
//
// The package does no I/O, reads no clock and starts no goroutine.
package drift
