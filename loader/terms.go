package loader

import "time"

// Terms say on what terms a version is wanted. They are no part of what it is:
// it is not loaded anew when they change.
type Terms struct {
	// RunLimit is the processor time that a run of one row on one thread may
	// take in the probe; 0 is no limit.
	RunLimit time.Duration
	// Attempt is an operator's count. Raised, it has a version that failed
	// tried again at once, out of its quarantine.
	Attempt int
}
