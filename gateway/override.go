package gateway

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segue-serving/segue/configs"
)

// override is one that was read and is good. It is immutable.
type override struct {
	*configs.Override
	entry configs.Entry
}

// overrideState is what the gateway knows of one model's override, whether or
// not it knows the model.
type overrideState struct {
	// good is the newest one that could be read, nil where there was none;
	// newest is the entry that was looked at last.
	good   *override
	newest configs.Entry
	// dropped reports that the deletion of good was asked for.
	dropped bool
	// local is a rollback that this gateway decided and the store does not have
	// yet; it counts in the place of good for documents of its rollout, and was
	// decided on what the store had at localOver. decidingUntil is until when a
	// decision is on its way.
	local         *configs.Override
	localOver     uint64
	decidingUntil time.Time
}

// decidedHere is where an entry is from that was decided here and is kept for a
// restart, because the store does not have it yet.
const decidedHere = "decided here and not written yet"

// clockSkew is by how much an override may seem to last too long, because the
// writer's clock is ahead.
const clockSkew = time.Hour

// readOverrides looks at all overrides. One that cannot be read changes
// nothing, and neither does one that is missing from an answer that may lack
// more than was deleted: a hold stands until it is released or ends.
func (r *reconciler) readOverrides(s configs.Snapshot) {
	for _, name := range slices.Sorted(maps.Keys(s.Overrides)) {
		r.readOverride(s.Overrides[name])
	}
	for name, o := range r.overrides {
		if _, there := s.Overrides[name]; !there && s.Authoritative {
			if o.good != nil {
				r.log.Info("override is gone", "model", name, "kind", o.good.Kind, "by", o.good.By)
			}
			if o.local != nil {
				// Lost with the store's other keys, or never there.
				o.good, o.newest, o.decidingUntil = nil, configs.Entry{}, time.Time{}
				continue
			}
			delete(r.overrides, name)
		}
	}
}

func (r *reconciler) readOverride(e configs.Entry) {
	o := r.overrides[e.Name]
	if o == nil {
		o = &overrideState{}
		r.overrides[e.Name] = o
	}
	if sameEntry(o.newest, e) {
		return
	}
	if e.Where == decidedHere {
		o.local, _ = configs.ParseOverride(e)
		o.localOver = e.Index
		return
	}
	o.newest, o.decidingUntil = e, time.Time{}
	read, err := configs.ParseOverride(e)
	if err == nil && read.Until.After(r.opts.Now().Add(configs.MaxHold+clockSkew)) {
		err = fmt.Errorf("until: is more than %s away", configs.MaxHold)
	}
	if err != nil {
		r.log.Error("override refused; what was in force stays", "model", e.Name, "where", e.Where, "index", e.Index, "problems", problemLines(err))
		r.metrics.configRejected("", "override")
		return
	}
	o.good, o.dropped = &override{read, e}, false
	r.log.Info("override", "model", e.Name, "kind", read.Kind, "by", read.By, "reason", read.Reason, "until", read.Until, "weights", read.Weights)
}

// deletedByName reports that an operator asked for the model's deletion.
func (r *reconciler) deletedByName(model string) bool {
	o := r.overrides[model]
	return o != nil && o.good != nil && o.good.Kind == configs.OverrideDelete && r.opts.Now().Before(o.good.Until)
}

// endOverrides deletes overrides that have ended, so that what the store holds
// is what is in force, and returns when the next one ends. The word that a
// model was deleted by name ends early when the model is back: it must not
// allow another deletion. It outlives the deletion itself, for gateways that
// were away.
func (r *reconciler) endOverrides(now time.Time) (next time.Time) {
	for _, name := range slices.Sorted(maps.Keys(r.overrides)) {
		o := r.overrides[name]
		if o.good == nil || o.dropped {
			continue
		}
		_, back := r.snapshot.Models[name]
		left := o.good.Released()
		switch {
		case o.good.Kind == configs.OverrideRollout:
			left = nil
			if !r.stale(name, now) {
				continue
			}
			r.log.Info("what was decided on another rollout is deleted", "model", name, "by", o.good.By, "reason", o.good.Reason)
		case !now.Before(o.good.Until):
			r.log.Info("override ended", "model", name, "kind", o.good.Kind, "by", o.good.By, "until", o.good.Until)
		case o.good.Kind == configs.OverrideDelete && back && r.snapshot.Authoritative:
			r.log.Info("document is back: it was not deleted by name", "model", name)
		default:
			if next.IsZero() || o.good.Until.Before(next) {
				next = o.good.Until
			}
			continue
		}
		o.dropped = true
		r.audit.dropOverride(name, o.good.entry.Index, left)
	}
	return next
}

// stale reports that an override says nothing about the newest document of its
// model.
func (r *reconciler) stale(model string, now time.Time) bool {
	m := r.models[model]
	return m != nil && r.current(m) && r.steer(model, m.wanted.doc, now).Stale
}

// current reports that the wanted document is the newest one: it is in the
// store now, was taken and is not held back by a freeze. Other gateways may
// follow another one where that is not so, and what is decided on theirs must
// not be replaced by what is decided on this.
func (r *reconciler) current(m *modelState) bool {
	return m.wanted != nil && !m.absent && !m.frozen && len(m.problems) == 0 && !r.snapshot.FromLastGood
}
