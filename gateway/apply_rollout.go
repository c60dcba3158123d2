package gateway

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/loader"
)

// The variants of a document with a rollout.
const (
	stableVariant = "stable"
	canaryVariant = "canary"
)

// variantOf is the name of a version's role in answers.
func variantOf(doc *configs.Document, version string) string {
	if ro := doc.Rollout; ro != nil {
		switch version {
		case ro.Stable:
			return stableVariant
		case ro.Canary:
			return canaryVariant
		}
	}
	return doc.Traffic.VariantName(version)
}

// salt is that under which callers are assigned: the document's, or the
// rollout's own, so that the same callers are not always first.
func (l *liveRollout) salt(doc *configs.Document) string {
	return cmp.Or(doc.Traffic.Sticky.Salt, l.id)
}

// rolloutRoute is the rollout in whose arms requests count, nil where none do:
// before the first step, after the end, and under a hold.
func (r *reconciler) rolloutRoute(m *modelState) *rolloutRoute {
	if m.live == nil || m.hold != nil || m.rollout == nil || m.rollout.Phase != configs.PhaseStep || m.live.step != m.rollout.Step {
		return nil
	}
	doc := m.inForce.doc
	route := &rolloutRoute{
		recorder: m.live.recorder, stable: doc.Rollout.Stable, canary: doc.Rollout.Canary, seed: rollout.UnitSeed(m.live.salt(doc)), step: m.live.step,
		started: m.rollout.Started, judge: r.judgeSoon, quality: m.live.quality,
	}
	if g := doc.Rollout.Guards.Feedback; g != nil {
		route.feedback, route.threshold = feedbackLabel, g.Threshold
		if g.Kind == configs.FeedbackReward {
			route.feedback = feedbackReward
		}
	}
	return route
}

// shadowRoutes are the versions that get copies of requests.
func (r *reconciler) shadowRoutes(m *modelState, route *modelRoute) []*shadowRoute {
	doc := m.inForce.doc
	var shadows []*shadowRoute
	for _, version := range slices.Sorted(maps.Keys(doc.Traffic.Shadow)) {
		v := route.versions[version]
		if share := doc.Traffic.Shadow[version]; share > 0 && v != nil && v.resident != nil {
			s := &shadowRoute{to: v, share: share / 100, like: sameInputs(v, route.versions[mainVersion(route, doc)]), tolerance: configs.DefaultTolerance}
			if g := guardOf(doc, version); g != nil {
				s.tolerance = cmp.Or(g.Tolerance, configs.DefaultTolerance)
				if m.live != nil && m.hold == nil {
					s.recorder, s.step, s.seed, s.judge = m.live.recorder, m.live.step, rollout.UnitSeed(m.live.salt(doc)), r.judgeSoon
				}
			}
			shadows = append(shadows, s)
		}
	}
	return shadows
}

// guardOf is the guard on a version's copies, nil where there is none.
func guardOf(doc *configs.Document, version string) *configs.ShadowGuard {
	if doc.Rollout == nil || doc.Rollout.Canary != version {
		return nil
	}
	return doc.Rollout.Guards.Shadow
}

// testersOf are the versions by what a tester may ask for: their own names,
// their variants', and "exclude" for the one that is no experiment.
func testersOf(route *modelRoute, doc *configs.Document) map[string]*versionRoute {
	if doc.Traffic.Testers.Header == "" {
		return nil
	}
	testers := make(map[string]*versionRoute, 2*len(route.versions)+1)
	for _, v := range route.versions {
		testers[v.variant] = v
	}
	for name, v := range route.versions {
		testers[name] = v
	}
	testers["exclude"] = route.versions[mainVersion(route, doc)]
	return testers
}

// mainVersion is the version that others fall back to: a rollout's stable one,
// else the one with the largest share, of equal ones the oldest.
func mainVersion(route *modelRoute, doc *configs.Document) string {
	if doc.Rollout != nil {
		return doc.Rollout.Stable
	}
	main := ""
	for _, version := range route.split.Versions() {
		order := -1
		if main != "" {
			order = cmp.Or(cmp.Compare(route.split.Share(main), route.split.Share(version)), configs.CompareVersions(version, main))
		}
		if order < 0 {
			main = version
		}
	}
	return main
}

// classGuardOutput is the output whose classes are compared, empty for the
// first.
func classGuardOutput(doc *configs.Document) string {
	if doc.Rollout == nil || doc.Rollout.Guards.Classes == nil {
		return ""
	}
	return doc.Rollout.Guards.Classes.Output
}

// classNames are the names of the classes that the rollout's versions predict,
// nil where the canary's manifest has none.
func (r *reconciler) classNames(m *modelState) []string {
	doc := m.inForce.doc
	res, _ := r.loader.Lookup(m.routed[doc.Rollout.Canary])
	if res == nil {
		return nil
	}
	c := classOutputOf(doc, res)
	if c.texts {
		return nil // their classes are hashes
	}
	return c.labels
}

// classOutputOf is where a version's answers hold their class, which a document
// may name otherwise than the manifest does.
func classOutputOf(doc *configs.Document, res *loader.Resident) classOutput {
	c := newClassOutput(res.Signature(), classGuardOutput(doc), res.Manifest().Labels)
	c.name(doc.Feedback.Labels)
	return c
}

// activeOverride is the kind of the override that has a say in the weights,
// empty where none has.
func (m *modelState) activeOverride() configs.OverrideKind {
	switch {
	case m.hold != nil:
		return configs.OverrideHold
	case m.rollout != nil:
		return configs.OverrideRollout
	}
	return ""
}

// refuses reports that a version was taken back and must not answer.
func (m *modelState) refuses(version, digest string) bool { return m.rollout.Refuses(version, digest) }

// expiry is how old a prediction may be that feedback is about.
func expiry(doc *configs.Document) time.Duration {
	return time.Duration(doc.Feedback.WithDefaults().Expires)
}

// nameOf is an instance's name with what no key takes written as _.
func nameOf(instance string) string {
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			return c
		}
		return '_'
	}, instance)
	name = strings.TrimLeft(name[:min(len(name), 90)], "._-")
	return cmp.Or(name, "gateway")
}

// epochOf names this life of a gateway among all that write evidence.
func epochOf(instance string, start time.Time) string {
	return nameOf(instance) + "-" + start.UTC().Format("20060102T150405.000000000Z")
}
