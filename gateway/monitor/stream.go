package monitor

import (
	"slices"
	"strings"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/drift"
)

// stream is what windows are made of, one after the other, and judged.
type stream struct {
	name string
	// versions are counted in it: one, or canary and stable.
	versions []string
	// profile has the bins.
	profile *drift.Profile
	// basis tells streams of one name apart whose counts do not add up: other
	// artifacts, or other features.
	basis string
	// references are what each window of it is compared with.
	references []string
}

// streams are those of a model as it is followed now, by name. Versions that
// are not compared have none.
func (w *watch) streams() map[string]stream {
	all := map[string]stream{}
	own := slices.DeleteFunc(slices.Clone(w.Drift.Compare), func(r string) bool { return r == configs.CompareControl })
	for version, t := range w.targets {
		if profile := t.reference(); profile != nil && len(own) > 0 {
			name := configs.DriftStreamOf(version)
			all[name] = stream{name, []string{version}, profile, basisOf(t), own}
		}
	}
	canary, stable := w.targets[w.Canary], w.targets[w.Stable]
	if w.Canary == "" || canary == nil || stable == nil || !slices.Contains(w.Drift.Compare, configs.CompareControl) {
		return all
	}
	// A version without a profile counts nothing. Both are counted in the bins
	// of the canary's.
	if profile := canary.reference(); profile != nil && stable.reference() != nil {
		all[configs.DriftControl] = stream{configs.DriftControl, []string{w.Canary, w.Stable}, profile,
			basisOf(canary) + " " + basisOf(stable), []string{configs.CompareControl}}
	}
	return all
}

// basisOf is short: the digest's first bytes, and the features where not all
// are compared.
func basisOf(t *Target) string {
	digest := strings.TrimPrefix(t.version.Digest, "sha256:")
	return strings.Join(slices.Concat([]string{digest[:min(16, len(digest))]}, t.features, t.exclude), ",")
}
