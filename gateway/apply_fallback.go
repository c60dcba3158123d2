package gateway

import (
	"cmp"
	"slices"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

// fallback is what all versions of a model fall back to: the one with the
// largest share, of equal ones the oldest, under a variant of its own. It is nil
// where one version alone has a share.
func (r *reconciler) fallback(route *modelRoute) *versionRoute {
	versions := route.split.Versions()
	if len(versions) < 2 {
		return nil
	}
	largest := slices.MaxFunc(versions, func(x, y string) int {
		return cmp.Or(cmp.Compare(route.split.Share(x), route.split.Share(y)), configs.CompareVersions(y, x))
	})
	return asFallback(route.versions[largest], r.metrics)
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
