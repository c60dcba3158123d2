package configs

import "context"

// LocksPrefix is the part of the store under which the locks of a fleet lie:
// locks/<name>, there as long as somebody holds the lock.
const LocksPrefix = "locks/"

// LockKey is the key of the lock of a name, which CheckName takes.
func LockKey(name string) string { return LocksPrefix + name }

// Locker lets one process of a fleet at a time do what all of them could.
type Locker interface {
	// Hold waits for the lock of a name (see CheckName), runs fn while this
	// process has it, gives it back and returns what fn returned. The context of
	// fn ends with ctx, and as soon as the lock is lost: fn then returns soon,
	// and Hold waits for the lock and runs fn again. Where the other side cannot
	// be reached it tries on, with jitter. Hold returns nil where ctx ended while
	// it waited, and an error of its own only for a name that is none.
	//
	// A lock is advice. A process that stands still for longer than the lock
	// lasts without it may believe for a moment that it has it, so what fn
	// writes is written by check-and-set.
	Hold(ctx context.Context, name string, fn func(ctx context.Context) error) error
}
