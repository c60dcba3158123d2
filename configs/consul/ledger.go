package consul

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/segue-serving/segue/configs"
)

// ledger remembers enough of the answers so far to tell a deletion from a
// loss. It has no clock and does no I/O.
//
// Consul's indexes only grow while a cluster lives; a new cluster starts from
// the beginning, and one that was restored has entries with older indexes.
// Where history went back, the keys that are missing were not deleted by
// anybody: they are lost. No answer is authoritative while a key is lost, which
// ends when it is written again (and may then be deleted), or, for an override,
// when its time is over. The new cluster's indexes count from there on.
type ledger struct {
	// high is the highest index since history last went back.
	high uint64
	// sentinel is the index at which the settings were created; another one
	// means another cluster, or settings that were gone meanwhile.
	sentinel uint64
	// kept is the last good configuration: the newest answer, with what an
	// answer that is not authoritative lacked.
	kept configs.Snapshot
	// lost are keys that history took away, each with the time from which
	// nobody misses it; the zero time is never.
	lost map[string]time.Time
}

// lossyIndex is the index of a copy on disk that holds lost keys. Every index
// is lower, so that the next process finds the same keys lost.
const lossyIndex = math.MaxUint64

// newLedger starts from the last good copy, or from nothing.
func newLedger(copied configs.Snapshot, ok bool) *ledger {
	l := &ledger{lost: map[string]time.Time{}}
	if ok {
		l.high, l.kept = copied.Index, copied
	}
	return l
}

// judge turns an answer into a snapshot. It returns false for one that must
// not be taken: stale, and older or emptier than what is known.
func (l *ledger) judge(a answer, now time.Time) (configs.Snapshot, bool) {
	back := l.holdsOlder(a) || (a.settings != nil && l.sentinel != 0 && a.sentinel != l.sentinel)
	missing := l.missing(a, now)
	if a.stale && (back || len(a.models) == 0 || len(missing) > 0) {
		return configs.Snapshot{}, false
	}
	// A stale answer has the index of its entries only, which is lower than
	// that of a store where anything was deleted.
	back = back || a.wentBack || (!a.stale && a.index < l.high)
	if back {
		l.high = a.index
		maps.Copy(l.lost, missing)
	}
	l.high = max(l.high, a.index)
	if a.settings != nil {
		l.sentinel = a.sentinel
	}
	for key, until := range l.lost {
		if _, there := a.lookup(key); there || (!until.IsZero() && now.After(until)) {
			delete(l.lost, key)
		}
	}
	s := configs.Snapshot{
		Index:     a.index,
		Models:    a.models,
		Overrides: a.overrides,
		Resolved:  a.resolved,
		Settings:  a.settings,
		Authoritative: a.complete && !a.stale && !back && a.settings != nil &&
			len(l.lost) == 0,
	}
	l.keep(s)
	return s, true
}

// holdsOlder reports an entry that is older than it was. One that was lost and
// is there again is of the new history.
func (l *ledger) holdsOlder(a answer) bool {
	older := func(tree string, had, has map[string]configs.Entry) bool {
		for name, entry := range has {
			if _, lost := l.lost[tree+name]; !lost && entry.Index < had[name].Index {
				return true
			}
		}
		return false
	}
	return older(modelsTree, l.kept.Models, a.models) || older(overridesTree, l.kept.Overrides, a.overrides)
}

// missing are the keys of documents and overrides that are kept and not in the
// answer.
func (l *ledger) missing(a answer, now time.Time) map[string]time.Time {
	missing := map[string]time.Time{}
	for name := range l.kept.Models {
		if _, there := a.models[name]; !there {
			missing[modelsTree+name] = time.Time{}
		}
	}
	for name, entry := range l.kept.Overrides {
		until := overrideEnd(entry.Value)
		if _, there := a.overrides[name]; !there && until.After(now) {
			missing[overridesTree+name] = until
		}
	}
	return missing
}

// overrideEnd is when an override ends, the zero time for what is none.
func overrideEnd(value []byte) time.Time {
	var o struct {
		Until time.Time `json:"until"`
	}
	if json.Unmarshal(value, &o) != nil {
		return time.Time{}
	}
	return o.Until
}

// lookup finds an entry by its key below the prefix.
func (a answer) lookup(key string) (configs.Entry, bool) {
	entries, tree := a.models, modelsTree
	if len(key) > len(overridesTree) && key[:len(overridesTree)] == overridesTree {
		entries, tree = a.overrides, overridesTree
	}
	entry, ok := entries[key[len(tree):]]
	return entry, ok
}

// keep takes a snapshot into the last good configuration.
func (l *ledger) keep(s configs.Snapshot) {
	if s.Authoritative {
		l.kept = s
		return
	}
	over := func(had, has map[string]configs.Entry) map[string]configs.Entry {
		merged := make(map[string]configs.Entry, len(had)+len(has))
		maps.Copy(merged, had)
		maps.Copy(merged, has)
		return merged
	}
	kept := configs.Snapshot{
		Index:     s.Index,
		Models:    over(l.kept.Models, s.Models),
		Overrides: over(l.kept.Overrides, s.Overrides),
		Resolved:  over(l.kept.Resolved, s.Resolved),
		Settings:  s.Settings,
	}
	if kept.Settings == nil {
		kept.Settings = l.kept.Settings
	}
	l.kept = kept
}

// toSave is the last good configuration as it goes to disk.
func (l *ledger) toSave() configs.Snapshot {
	s := l.kept
	if len(l.lost) > 0 {
		s.Index = lossyIndex
	}
	return s
}

// fromDisk is a copy as it is published: under the index of what it holds.
func fromDisk(s configs.Snapshot) configs.Snapshot {
	if s.Index != lossyIndex {
		return s
	}
	s.Index = 0
	for _, entries := range []map[string]configs.Entry{s.Models, s.Overrides, s.Resolved} {
		for _, entry := range entries {
			s.Index = max(s.Index, entry.Index)
		}
	}
	return s
}

// lostKeys are the lost keys in order.
func (l *ledger) lostKeys() []string { return slices.Sorted(maps.Keys(l.lost)) }
