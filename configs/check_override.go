package configs

import (
	"maps"
	"slices"
	"time"
)

func checkOverride(o *Override, r *report) {
	oneOf(r, "kind", string(o.Kind), string(OverrideHold), string(OverrideDelete))
	if r.at["basis"] != nil && !r.spoilt("basis") && o.Basis != "" {
		if message := checkDigest(o.Basis); message != "" {
			r.problem("basis", "%s", message)
		}
	}
	switch {
	case o.Kind == OverrideDelete && len(o.Weights) > 0:
		r.problem("weights", "have no meaning in a deletion: leave them out")
	case len(o.Weights) > 0:
		checkWeights(o.Weights, "weights", r)
	case o.Kind == OverrideHold && !r.spoilt("weights"):
		r.problem("weights", "missing: name at least one version")
	}
	if r.at["until"] == nil || r.at["at"] == nil || r.spoilt("until") || r.spoilt("at") {
		return
	}
	switch length := o.Until.Sub(o.At); {
	case length <= 0:
		r.problem("until", "must be later than at")
	case length > MaxHold:
		r.problem("until", "is %s after at: an override lasts at most %s (7 days)", length.Round(time.Second), MaxHold)
	}
}

// Check says why an override cannot apply to a document: it names versions
// that the document does not. Nil means that it can.
func (o *Override) Check(d *Document) error {
	r := newReport()
	for _, name := range slices.Sorted(maps.Keys(o.Weights)) {
		checkVersionName(d, name, keyPath("weights", name), r)
	}
	return r.err("")
}
