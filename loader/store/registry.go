package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Registry is the Store of all schemes that it was made with.
type Registry struct {
	stores  map[string]Store
	metrics *Metrics
}

var _ Store = (*Registry)(nil)

// NewRegistry returns the store of the given schemes. Metrics may be nil.
func NewRegistry(stores map[string]Store, metrics *Metrics) *Registry {
	return &Registry{stores: maps.Clone(stores), metrics: metrics}
}

// SplitURI cuts a reference into scheme and rest; a scheme is letters, digits,
// plus, minus and dots, and counts in lower case.
func SplitURI(uri string) (scheme, rest string, err error) {
	scheme, rest, ok := strings.Cut(uri, ":")
	name := strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.")
	if !ok || scheme == "" || name != "" {
		return "", "", Permanent(fmt.Errorf("%q names no scheme; a folder of this machine is written file:PATH", uri))
	}
	return strings.ToLower(scheme), rest, nil
}

// Fetch asks the store of the reference's scheme. A scheme without one is a
// permanent error.
func (r *Registry) Fetch(ctx context.Context, ref Ref, progress Progress) (path string, release func(), err error) {
	scheme, _, err := SplitURI(ref.URI)
	if err != nil {
		return "", nil, err
	}
	s, ok := r.stores[scheme]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(r.stores)), ", ")
		return "", nil, Permanent(fmt.Errorf("%s: no store of scheme %q; there is %s", ref.URI, scheme, known))
	}
	cached := false
	if c, ok := s.(Caching); ok {
		path, release, cached, err = c.FetchCached(ctx, ref, progress)
	} else {
		path, release, err = s.Fetch(ctx, ref, progress)
	}
	r.metrics.fetched(ctx, scheme, cached, err)
	return path, release, err
}
