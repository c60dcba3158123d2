package gateway

import (
	"maps"
	"slices"

	"github.com/segue-serving/segue/gateway/monitor"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/runtime"
)

// sample leaves one row of a request that v answered for drift to count, if it
// is one that counts: not a tester's; and while a rollout is under way only one
// that it drew and that no other version answered instead, so that both arms
// see the same mix of callers.
func (c *call) sample(v *versionRoute, inputs, outputs []runtime.Tensor, own int64) {
	if c.tester || c.model.rollout != nil && (c.assigned.rollout == nil || c.instead) {
		return
	}
	if !v.runner.Signature().Batches() {
		own = 0
	}
	unit := uint64(0)
	if c.model.unitHeader != "" {
		if key := c.wire.field(c.model.unitHeader); len(key) > 0 {
			unit = rollout.UnitOf(0, key)
		}
	}
	v.watched.Offer(inputs, outputs, own, unit)
}

// watch makes the monitor follow the models of a table whose documents ask for
// that, and the table's versions be watched.
func (r *reconciler) watch(t *table) {
	var followed []monitor.Model
	for _, m := range r.sorted() {
		if m.inForce == nil || m.inForce.doc.Drift == nil {
			continue
		}
		followed = append(followed, r.watchedModel(m, t.models[m.name]))
	}
	r.monitor.Follow(followed)
	for _, f := range followed {
		route := t.models[f.Name]
		route.unitHeader = r.models[f.Name].inForce.doc.UnitHeader()
		for name, v := range route.versions {
			v.watched = r.monitor.Target(f.Name, name)
		}
		if route.fallback != nil {
			route.fallback.watched = r.monitor.Target(f.Name, route.fallback.version)
		}
	}
}

// watchedModel is a model as the monitor follows it.
func (r *reconciler) watchedModel(m *modelState, route *modelRoute) monitor.Model {
	doc := m.inForce.doc
	f := monitor.Model{Name: m.name, Drift: doc.Drift.WithDefaults(), Named: slices.Sorted(maps.Keys(doc.Versions))}
	if route.rollout != nil {
		f.Stable, f.Canary = route.rollout.stable, route.rollout.canary
	}
	for _, name := range route.order {
		v := route.versions[name]
		if v.resident == nil {
			continue
		}
		res, counters := v.resident, v.metrics.versionCounters
		f.Versions = append(f.Versions, monitor.Version{
			Name: name, Digest: res.Digest(), Signature: res.Signature(), Profile: res.Profile, Answers: counters.answers,
		})
	}
	return f
}

// answers is how many requests the version has answered.
func (v *versionCounters) answers() uint64 {
	n := uint64(0)
	for i := range v.stripes {
		n += v.stripes[i].succeeded.Load()
	}
	return n
}

// newMonitor makes the monitor of a gateway's models.
func newMonitor(opts Options, m *Metrics, epoch string, news func()) *monitor.Monitor {
	return monitor.New(monitor.Options{
		Store: opts.Store, Locker: opts.Locker, StateDir: opts.StateDir, Instance: nameOf(opts.Instance), Epoch: epoch, Egress: opts.Egress,
		Log: opts.Log, Now: opts.Now, Wrote: m.StoreWrite, News: news,
	})
}
