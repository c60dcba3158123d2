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
	// Idle is how long a version may go without a use before it is unloaded; 0
	// keeps it in memory. Where memory is short it is unloaded sooner.
	Idle time.Duration
	// Keep says that the version is in memory whatever Idle says: it answers, or
	// others fall back to it, or somebody pinned it.
	Keep bool
}

// evictable reports that a version may be unloaded while it is wanted.
func (t Terms) evictable() bool { return t.Idle > 0 && !t.Keep }

// soonest is how long a version must have gone without a use before it makes
// room for another.
func (t Terms) soonest() time.Duration { return min(t.Idle, soonestEviction) }

// sweep is how often uses of a version are looked for, and how exactly the time
// of the last is known.
func (t Terms) sweep() time.Duration { return min(max(t.Idle/8, time.Second), 30*time.Second) }

const soonestEviction = time.Minute
