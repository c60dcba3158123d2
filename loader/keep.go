package loader

import (
	"maps"

	"github.com/segue-serving/segue/loader/store"
)

// ref is how a version's artifact is asked for.
func (w Wanted) ref() store.Ref { return store.Ref{URI: w.URI, Base: w.Base, Digest: w.Digest} }

// keep tells the cache what is wanted, unless that is what it was.
func (m *Manager) keep(all []Wanted) {
	set := make(map[Wanted]struct{}, len(all))
	for _, w := range all {
		set[w] = struct{}{}
	}
	m.mu.Lock()
	same := maps.Equal(m.kept, set)
	m.kept = set
	m.mu.Unlock()
	if same {
		return
	}
	refs := make([]store.Ref, 0, len(set))
	for w := range set {
		ref := w.ref()
		ref.Digest = m.expectedDigest(w)
		refs = append(refs, ref)
	}
	m.options.Keeper.Keep(refs)
}

// expectedDigest returns the digest that is stated or pinned, by this process
// or one before, and empty where there is none.
func (m *Manager) expectedDigest(w Wanted) string {
	if w.Digest != "" {
		return w.Digest
	}
	m.mu.Lock()
	digest := m.pins[pinOf(w)]
	m.mu.Unlock()
	if digest == "" {
		digest = m.options.Keeper.Pinned(w.String(), w.ref())
	}
	return digest
}

func pinOf(w Wanted) pin { return pin{w.Model, w.Version, w.URI, w.Base} }

// noKeeper stands for a cache where there is none.
type noKeeper struct{}

func (noKeeper) Keep([]store.Ref)                {}
func (noKeeper) Doubt(string)                    {}
func (noKeeper) Unsigned(string)                 {}
func (noKeeper) Pin(string, store.Ref, string)   {}
func (noKeeper) Pinned(string, store.Ref) string { return "" }
