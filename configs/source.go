package configs

import (
	"context"
	"errors"
)

// Entry is one key as it was read: its bytes before any parsing.
type Entry struct {
	// Name is the model's name, from the key or the file's name.
	Name string
	// Value is the document. It must not be changed.
	Value []byte
	// Index grows with every change of this entry: Consul's ModifyIndex, or a
	// counter that survives restarts.
	Index uint64
	// Where says where the entry came from, for people: a path or a key.
	Where string
	// Base is the folder from which relative artifact paths count, empty
	// where there is none.
	Base string
	// Problem is set where the entry is there and cannot be read (two files
	// for one model, a file without permission): it is refused with this
	// reason, and counts as present.
	Problem string
	// WrittenByTool reports that seguectl wrote the entry and records the
	// change itself; a direct write is recorded by the gateways.
	WrittenByTool bool
}

// Snapshot is all that a source holds, at one index. It is immutable.
type Snapshot struct {
	// Index is the index of the whole set.
	Index uint64
	// Models, Overrides and Resolved are entries by model name.
	Models    map[string]Entry
	Overrides map[string]Entry
	Resolved  map[string]Entry
	// Settings is nil where there are none: the sentinel is missing.
	Settings *Entry
	// Authoritative reports that a key missing from this snapshot is really
	// gone: the answer was consistent, complete, unfiltered, held the
	// sentinel, and its index was not lower than one seen before.
	Authoritative bool
	// FromLastGood reports that the snapshot is the copy on disk, because the
	// source could not be reached.
	FromLastGood bool
}

// SourceState is how a source stands, for status and metrics.
type SourceState struct {
	// Connected is false while the source cannot be read.
	Connected bool
	// LastContactUnixNano is the time of the last successful read.
	LastContactUnixNano int64
	// Err is the last failure in words, empty while connected.
	Err string
}

// Source states the full wanted configuration, again and again.
type Source interface {
	// Run watches until ctx ends and calls publish, from one goroutine, with
	// the first full snapshot and with each newer one. Publish returns soon.
	// A failing source backs off and goes on; Run returns an error only for
	// what no retry can mend, and nil when ctx ends.
	Run(ctx context.Context, publish func(Snapshot)) error
	// State may be called at any time.
	State() SourceState
}

// Errors of a Store that callers branch on.
var (
	// ErrConflict says that a key was not at the index that a write named:
	// somebody else wrote first, nothing was written, retry is safe.
	ErrConflict = errors.New("changed by somebody else")
	// ErrUnreachable says that the other side did not answer.
	ErrUnreachable = errors.New("not reachable")
	// ErrForbidden says that this caller may not do that.
	ErrForbidden = errors.New("permission denied")
)

// Item is one key of a Store.
type Item struct {
	// Key is relative to the store's prefix: models/mozart.
	Key string
	// Value is the caller's own: it may be changed.
	Value []byte
	// Index is that of the key's last change, over 0.
	Index uint64
	// Tool is Entry.WrittenByTool.
	Tool bool
}

// Write is one step of Store.Apply.
type Write struct {
	// Key is relative to the store's prefix.
	Key string
	// Value is not kept: it may be changed when Apply has returned.
	Value []byte
	// Delete removes the key instead of writing Value.
	Delete bool
	// Index is the index at which the key must be: 0 means that it must not
	// exist, so a write with 0 creates. A deletion must name one.
	Index uint64
	// Tool marks the entry as written by seguectl.
	Tool bool
}

// Store reads and writes single keys. Keys are those of the contract, relative
// to the prefix: settings, models/<model>, overrides/<model>,
// status/<instance>, audit/<model>/<index>-<event>.
type Store interface {
	// Get returns one key; ok is false where there is none.
	Get(ctx context.Context, key string) (item Item, ok bool, err error)
	// List returns all keys under the prefix, sorted by key.
	List(ctx context.Context, prefix string) ([]Item, error)
	// Apply makes all writes or none, each by check-and-set, and returns the
	// index at which they were made; a write of the bytes that are there already
	// changes nothing and keeps the key's index. ErrConflict where a check failed.
	Apply(ctx context.Context, writes ...Write) (index uint64, err error)
	// Who names the caller as the store knows it (a token's accessor, a user
	// of the system), for the audit.
	Who(ctx context.Context) string
}

// Announcer makes a gateway's status visible as long as the gateway lives.
type Announcer interface {
	// Announce publishes under instance (or, where somebody else holds that
	// name, under it with a suffix) the newest value received from updates,
	// rate-limited, until ctx ends; then it withdraws it.
	Announce(ctx context.Context, instance string, updates <-chan []byte) error
}
