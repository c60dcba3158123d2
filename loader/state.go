package loader

import (
	"fmt"
	"time"

	"github.com/segue-serving/segue/loader/artifact/signing"
)

// State says how far a version is. The states of one try are passed in
// ascending order, some are skipped, none is returned to.
type State uint8

// The states. A try ends in Gone; Failed lasts while the version is wanted and
// not tried again, Evicted while it is wanted and nobody asks for it.
const (
	// StateUnknown: the version is neither wanted nor remembered.
	StateUnknown State = iota
	// StateWanted: it waits for its turn.
	StateWanted
	// StateFetching: its artifact is on its way from the store.
	StateFetching
	// StateVerifying: files and digest are checked.
	StateVerifying
	// StateProbing: it is tried in another process.
	StateProbing
	// StateOpening: the engine loads it.
	StateOpening
	// StateWarming: it makes its first runs.
	StateWarming
	// StateReady: it can answer.
	StateReady
	// StateDraining: nobody new may use it, and some may still do.
	StateDraining
	// StateFailed: it did not come to life; the status says why.
	StateFailed
	// StateEvicted: it is wanted, and was unloaded because nobody used it. Ask
	// brings it back.
	StateEvicted
	// StateGone: it holds no memory any more.
	StateGone
)

var stateNames = [...]string{"Unknown", "Wanted", "Fetching", "Verifying", "Probing", "Opening", "Warming", "Ready",
	"Draining", "Failed", "Evicted", "Gone"}

// String returns the state's name, as status shows and metrics label it.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return stateNames[StateUnknown]
	}
	return stateNames[s]
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// States lists the states that a version can be in, in order.
func States() []State {
	all := make([]State, 0, len(stateNames)-1)
	for s := StateWanted; s <= StateGone; s++ {
		all = append(all, s)
	}
	return all
}

// loading reports whether a try is under way.
func (s State) loading() bool { return s >= StateWanted && s <= StateWarming }

// mayFollow reports whether a try may go from one state to another.
func mayFollow(from, to State) bool {
	switch to {
	case StateWanted:
		return from == StateUnknown
	case StateDraining:
		return from == StateReady
	case StateFailed:
		return from.loading()
	case StateEvicted:
		return from == StateDraining
	case StateGone:
		return from != StateGone && from != StateReady
	}
	return to > from && from.loading()
}

// Wanted is one version to have in memory. It is comparable and is the
// version's identity: with another digest, place or option it is another
// resident, and both can be in memory at once.
type Wanted struct {
	// Model and Version name it.
	Model, Version string
	// URI and Base say where the artifact is; see store.Ref.
	URI, Base string
	// Digest is that of the artifact's manifest, empty for the first one seen.
	Digest string
	// Device and Threads are those of runtime.Options.
	Device  string
	Threads int
	// MemoryLimit is that of runtime.Options, of each session.
	MemoryLimit int64
	// Instances is how many sessions are opened; 0 counts as 1. The loader only
	// hands it on to Open, as it does MaxQueueDelay.
	Instances int
	// MaxBatch is the largest batch that it will meet; 0 counts as 1.
	MaxBatch int
	// MaxQueueDelay is how long a run may wait for more rows.
	MaxQueueDelay time.Duration
	// QueueLimit is how many requests may wait for it. The loader only hands
	// it on to Open.
	QueueLimit int
}

// String returns model and version, as messages name them.
func (w Wanted) String() string { return w.Model + "/" + w.Version }

// Status says how a version does. It is a copy that the receiver may keep.
type Status struct {
	Wanted Wanted
	State  State
	// Reason says why the version failed: last time, while it is being tried
	// again. It is empty once it is Ready.
	Reason string
	// Permanent is set on a Failed version that is not tried again until
	// Wanted changes.
	Permanent bool
	// Attempt counts the tries from 1; it is above 1 only after a failure.
	Attempt int
	// RetryAt is when a Failed version is tried again, zero if it is not.
	RetryAt time.Time
	// Since is when the state was entered.
	Since time.Time
	// Digest is that of the verified artifact, empty before.
	Digest string
	// SignedBy is the artifact's signature, nil where nobody known signed it. It
	// was judged when the version was loaded, and is not again.
	SignedBy *signing.Signature
	// Warnings came up on the way and refuse nothing.
	Warnings []string
	// Phases are the states passed in loading and how long they took.
	Phases []Phase
	// Fetched and Size count the artifact's bytes while it is being fetched;
	// Size is 0 where the store does not know.
	Fetched, Size int64
	// Cost is what the version takes of its device's memory, zero where that is
	// not known.
	Cost Cost
	// InUse is how many hold the version now.
	InUse int
}

// Tried reports whether the version was tried to an end at least once: it
// became Ready, or it has failed, even if it is being tried again.
func (s *Status) Tried() bool {
	return s.State == StateReady || s.State == StateDraining || s.State == StateFailed || s.State == StateEvicted || s.Attempt > 1
}

// Phase is a passed state of loading.
type Phase struct {
	State State
	Took  time.Duration
}

// String returns the phase for people.
func (p Phase) String() string { return fmt.Sprintf("%s %s", p.State, p.Took.Round(time.Millisecond)) }
