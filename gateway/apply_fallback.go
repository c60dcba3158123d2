package gateway

import (
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

// fallback is what all versions of a model fall back to, under a variant of its
// own. It is nil where one version alone has a share and there is no rollout.
func (r *reconciler) fallback(route *modelRoute, doc *configs.Document) *versionRoute {
	if doc.Rollout == nil && len(route.split.Versions()) < 2 {
		return nil
	}
	return asFallback(route.versions[mainVersion(route, doc)], r.metrics)
}

// asFallback is a version in the role of the one that answers in another's
// place.
func asFallback(v *versionRoute, m *Metrics) *versionRoute {
	f := *v
	f.variant = fallbackVariant
	f.names = hashNames(f.model, f.version, f.variant)
	f.metrics = m.version(f.model, f.version, f.variant)
	return &f
}

// breaker is the resident's breaker. A trip wakes the reconciler.
func (r *reconciler) breaker(res *loader.Resident) *breaker {
	b := r.breakers[res]
	if b == nil {
		b = newBreaker(r.loaderChanged)
		r.breakers[res] = b
	}
	return b
}

// dropBreakers lets go of the breakers of residents that have left the table.
func (r *reconciler) dropBreakers(t *table) {
	held := make(map[*loader.Resident]struct{}, len(r.breakers))
	for _, m := range t.models {
		for _, v := range m.versions {
			held[v.resident] = struct{}{}
		}
	}
	for res := range r.breakers {
		if _, still := held[res]; !still {
			delete(r.breakers, res)
		}
	}
}
