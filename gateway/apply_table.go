package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/loader"
)

// modelLimiter is a model's rate limiter and what it was made for. It outlives
// tables, so that an unrelated change does not refill its bucket.
type modelLimiter struct {
	rate    float64
	burst   int
	limiter *rate.Limiter
}

// nonFinitePolicy is the wire's policy by its name in documents.
func nonFinitePolicy(name string) oip.NonFinite {
	switch name {
	case configs.NonFiniteNull:
		return oip.NonFiniteNull
	case configs.NonFiniteLiteral:
		return oip.NonFiniteLiteral
	}
	return oip.NonFiniteError
}

// publish builds the table of what is in force and puts it into force with one
// store.
func (r *reconciler) publish(now time.Time) {
	limits := configs.GatewayLimits{}
	if r.settings.inForce != nil {
		limits = r.settings.inForce.Limits
	}
	limits = limits.WithDefaults()
	t := &table{
		models: make(map[string]*modelRoute, len(r.models)), access: r.settings.access, ids: r.settings.ids,
		maxBody: int64(limits.MaxBody), maxInFlight: int64(limits.MaxInFlight), ready: r.ready, why: r.why,
	}
	r.tabled = map[loader.Wanted]struct{}{}
	for name, m := range r.models {
		route, err := r.route(m)
		if err != nil {
			// Weights were checked when the document or the hold was parsed.
			panic(fmt.Sprintf("gateway: accepted weights of %s make no split: %v", name, err))
		}
		t.models[name] = route
	}
	r.watch(t)
	r.router.publish(t)
	r.announceRollbacks()
	r.dropBreakers(t)
	for _, m := range r.models {
		r.metrics.modelInForce(m.name, r.weightsInForce(m), r.weightsWanted(m, now), m.activeOverride())
		r.showRollout(m)
		r.showCompatibility(m)
		if m.inForce != nil {
			r.metrics.configIndex.WithLabelValues(m.name).Set(float64(m.inForce.entry.Index))
		}
	}
	r.show(now)
}

// route is one model as the data path sees it.
func (r *reconciler) route(m *modelState) (*modelRoute, error) {
	a := m.inForce
	if a == nil {
		a = cmp.Or(m.wanted, m.lastGood)
	}
	if a == nil {
		reason := "its configuration was refused"
		switch {
		case m.frozen:
			reason = "its configuration is frozen"
		case m.followed.unresolved:
			reason = "its registry was not asked yet"
		}
		return &modelRoute{name: m.name, index: "0", reason: reason, nonFinite: oip.NonFiniteError}, nil
	}
	limits := a.doc.Limits.WithDefaults()
	route := &modelRoute{
		name: m.name, index: strconv.FormatUint(r.index(m), 10), versions: make(map[string]*versionRoute, len(a.doc.Versions)),
		order:        slices.SortedFunc(maps.Keys(a.doc.Versions), configs.CompareVersions),
		stickyHeader: a.doc.Traffic.Sticky.Header, stickyRequired: a.doc.Traffic.Sticky.Required,
		nonFinite: nonFinitePolicy(a.doc.NonFinitePolicy()), timeout: time.Duration(limits.Timeout), queueTime: time.Duration(limits.QueueTime),
		limiter: r.limiter(m.name, limits), expires: expiry(a.doc),
	}
	for version := range a.doc.Versions {
		w, ok := m.routed[version]
		if m.inForce == nil || !ok {
			w = r.wantedVersion(m, a, version)
		}
		route.versions[version] = r.versionRoute(m, a.doc, w)
	}
	if m.inForce == nil {
		route.reason = m.waiting
		route.latest = route.versions[a.doc.DefaultVersion(r.opts.ModelVersion)]
		return route, nil
	}
	split, err := m.split()
	if err != nil {
		return nil, err
	}
	route.split = split
	route.fallback = r.fallback(route, a.doc)
	route.rollout = r.rolloutRoute(m)
	route.shadows = r.shadowRoutes(m, route)
	route.testersHeader, route.testers = a.doc.Traffic.Testers.Header, testersOf(route, a.doc)
	route.latest = route.versions[slices.MaxFunc(split.Versions(), func(x, y string) int {
		return cmp.Or(cmp.Compare(split.Share(x), split.Share(y)), configs.CompareVersions(x, y))
	})]
	return route, nil
}

// versionRoute is one version as the data path sees it.
func (r *reconciler) versionRoute(m *modelState, doc *configs.Document, w loader.Wanted) *versionRoute {
	r.tabled[w] = struct{}{}
	res, st := r.loader.Lookup(w)
	rt := doc.RuntimeOf(w.Version, r.opts.Runtime)
	v := &versionRoute{
		model: w.Model, version: w.Version, class: classOutput{output: -1}, variant: variantOf(doc, w.Version),
		resident: res, state: st.State, reason: st.Reason, maxBatch: rt.MaxBatchSize,
		limits: oip.Limits{
			MaxTensorBytes: r.opts.MaxTensorBytes, MaxDimension: int64(rt.MaxDimension), MaxBatch: int64(rt.MaxBatchSize),
		},
	}
	if res == nil {
		v.ask = r.asker(w, st)
	}
	v.names = hashNames(v.model, v.version, v.variant)
	v.metrics = r.metrics.version(v.model, v.version, v.variant)
	if res != nil && m.refuses(w.Version, res.Digest()) {
		v.resident, v.refused = nil, true
	} else if res != nil {
		v.runner = res.Instance().(Instance).Instance
		v.breaker = r.breaker(res)
		v.class = classOutputOf(doc, res)
	}
	return v
}

// limiter returns the model's limiter, a new one only where the rate changed.
func (r *reconciler) limiter(model string, limits configs.Limits) *rate.Limiter {
	if limits.Rate <= 0 {
		delete(r.limiters, model)
		return nil
	}
	l := r.limiters[model]
	if l == nil || l.rate != limits.Rate || l.burst != limits.Burst {
		l = &modelLimiter{limits.Rate, limits.Burst, rate.NewLimiter(rate.Limit(limits.Rate), limits.Burst)}
		r.limiters[model] = l
	}
	return l.limiter
}

// index is the value of Segue-Config-Index: the larger of the index of the
// document in force and of the override that set its weights.
func (r *reconciler) index(m *modelState) uint64 {
	var index uint64
	if m.inForce != nil {
		index = m.inForce.entry.Index
	}
	if o := r.overrides[m.name]; o != nil && o.good != nil && (m.hold != nil || m.rollout != nil) {
		index = max(index, o.good.entry.Index)
	}
	return index
}
