package gateway

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/loader"
)

// accepted is a document that parsed, and the entry it was read from.
type accepted struct {
	doc      *configs.Document
	entry    configs.Entry
	warnings []configs.Warning
	// resolved is what was found in the registry that the document follows; its
	// versions are in doc. It has no value where the document follows nothing.
	resolved configs.Entry
}

// modelState is what the gateway knows of one model from one pass to the next.
// The reconciler's goroutine owns it.
type modelState struct {
	name string
	// newest is the entry that was looked at last, problems what was wrong
	// with it. changed is when the wanted document was first seen, applied
	// whether its time to force was measured.
	newest   configs.Entry
	problems []string
	// followed is what was found in the registry that the document follows.
	followed followed
	changed  time.Time
	applied  bool
	// wanted is the newest document that was accepted, inForce the one that
	// answers; both are the same once everything it points at is ready.
	wanted, inForce *accepted
	// lastGood is the document that was in force when the process ended
	// before. It serves until a newer one can, and is nil from then on.
	lastGood *accepted
	// routed says, by version of the document in force, which resident
	// answers for it.
	routed map[string]loader.Wanted
	// weights are the relative shares in force, hold the override that set
	// them, nil where the document or its rollout did. rollout is the state of
	// the document's rollout that counts, nil where none does.
	weights map[string]float64
	hold    *configs.Override
	rollout *configs.RolloutState
	// live is the rollout that is under way, nil where none is.
	live *liveRollout
	// compatibility says what the versions in memory are to the main one.
	compatibility map[string]configs.CompatibilityStatus
	// waiting says what the wanted document or hold waits for, empty when it
	// is in force.
	waiting string
	// frozen reports that a newer document is not taken because of a freeze.
	frozen bool
	// absent reports that the newest snapshot lacks the model's key,
	// missingSince since when that counts as a deletion (zero: it does not),
	// named that an operator asked for it by the model's name, and guarded
	// that too many are missing at once to believe it.
	absent, named, guarded bool
	missingSince           time.Time
}

// serves reports that an entry holds the very document that is wanted or last
// good already, with what was found in the registry that it follows.
func (m *modelState) serves(e, resolved configs.Entry) bool {
	for _, a := range []*accepted{m.wanted, m.lastGood} {
		if a == nil || !bytes.Equal(a.entry.Value, e.Value) {
			continue
		}
		if a.resolved.Value == nil || resolved.Value == nil || bytes.Equal(a.resolved.Value, resolved.Value) {
			return true
		}
	}
	return false
}

// wantedVersion is what the loader is asked to have for one version of a
// document. A document without a digest stays on the content that serves under
// that version's name: what a version holds does not change.
func (r *reconciler) wantedVersion(m *modelState, a *accepted, version string) loader.Wanted {
	v := a.doc.Versions[version]
	rt := a.doc.RuntimeOf(version, r.opts.Runtime)
	w := loader.Wanted{
		Model: m.name, Version: version, URI: v.URI, Base: a.entry.Base, Digest: v.Digest,
		Device: rt.Device, Threads: rt.Threads, MemoryLimit: int64(rt.MemoryLimit), MaxBatch: rt.MaxBatchSize,
		Instances: rt.Instances, MaxQueueDelay: time.Duration(rt.MaxQueueDelay), QueueLimit: a.doc.Limits.WithDefaults().Queue,
	}
	if old, ok := m.routed[version]; ok && w.Digest == "" && old != w {
		if _, st := r.loader.Lookup(old); st.State == loader.StateReady || st.State == loader.StateEvicted {
			w.Digest = st.Digest
		}
	}
	return w
}

// awaited says what a document waits for under some weights: every version
// with weight must be ready, not have been taken back, and break no callers. It is empty when the
// document may come into force. Failed reports that some version was tried and
// did not come to life.
func (r *reconciler) awaited(m *modelState, a *accepted, s configs.Steering) (waiting string, failed bool) {
	weights := s.Weights
	var parts []string
	for _, version := range slices.SortedFunc(maps.Keys(weights), configs.CompareVersions) {
		if weights[version] == 0 {
			continue
		}
		res, st := r.loader.Lookup(r.wantedVersion(m, a, version))
		if res != nil && s.Rollout.Refuses(version, res.Digest()) {
			parts = append(parts, fmt.Sprintf("version %s was taken back, and is refused until the rollout is retried or changed", version))
			continue
		}
		if res != nil {
			if why, pending := r.breaks(m, a, version, res); why != "" {
				failed = failed || !pending
				parts = append(parts, why)
			}
			continue
		}
		failed = failed || st.Tried()
		part := fmt.Sprintf("version %s is %s", version, strings.ToLower(st.State.String()))
		if st.Reason != "" {
			part += ": " + st.Reason
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; "), failed
}

// enforce makes a document the one in force and points each of its versions at
// a resident.
func (r *reconciler) enforce(m *modelState, a *accepted, s configs.Steering) {
	routed := make(map[string]loader.Wanted, len(a.doc.Versions))
	for version := range a.doc.Versions {
		routed[version] = r.wantedVersion(m, a, version)
		// A version without weight does not hold the change up; until its
		// new resident is ready the old one goes on answering for it.
		if res, _ := r.loader.Lookup(routed[version]); res == nil {
			if old, ok := m.routed[version]; ok {
				if was, _ := r.loader.Lookup(old); was != nil {
					routed[version] = old
				}
			}
		}
	}
	m.inForce, m.routed, m.weights, m.hold, m.rollout = a, routed, s.Weights, s.Hold, s.Rollout
	if a == m.wanted {
		m.lastGood = nil
	}
}

// wantedSet adds every version that the loader must have for this model's
// documents. What the table points at is wanted besides.
func (r *reconciler) wantedSet(m *modelState, set map[loader.Wanted]struct{}) {
	for _, a := range []*accepted{m.wanted, m.lastGood} {
		if a == nil {
			continue
		}
		for version := range a.doc.Versions {
			set[r.wantedVersion(m, a, version)] = struct{}{}
		}
	}
}

// split builds the choice among the versions in force.
func (m *modelState) split() (*rollout.Split, error) {
	arms := make([]rollout.Arm, 0, len(m.weights))
	for version, weight := range m.weights {
		arms = append(arms, rollout.Arm{Version: version, Weight: weight})
	}
	salt := m.inForce.doc.Traffic.Sticky.Salt
	if m.live != nil {
		salt = m.live.salt(m.inForce.doc)
	}
	return rollout.NewSplit(salt, arms)
}
