// Package monitor watches what models see and say while they serve, compares it
// with a reference, and tells those who are to know when it has changed.
//
// A Target is one version as the data path sees it: it draws which requests are
// looked at, copies one row of those, and leaves it in a bounded inbox. All else
// happens elsewhere: one goroutine counts the rows into the bins of the
// version's reference profile, one writes the counts to the configuration's
// store, and one gateway of the fleet at a time merges what all have counted,
// judges windows that are full, writes the report that all show, and sends what
// alarms are due. Package drift has the statistics.
//
// The package promises that the data path never waits for it and pays a random
// number for a request that is not looked at; that memory is bounded by the
// profiles, whatever comes; that counting takes at most a hundredth of a core;
// that a window is judged once, whichever gateways come and go; and that a
// version whose profile is missing or wrong serves all the same, with the
// reason in the status. It never changes traffic.
//
//	m := monitor.New(monitor.Options{Store: store, Locker: locker, Epoch: epoch, Log: log})
//	m.Follow(models)
//	if t := m.Target("mozart", "1"); t != nil && t.Wants() {
//		t.Offer(inputs, outputs, rows, unit)
//	}
//	err := m.Run(ctx)
package monitor
