package gateway

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/loader/artifact"
)

// breaks says why a version of a document may not take weight, empty where it
// may: its signature breaks the callers of the version that it replaces, and
// the document does not allow that. Pending reports that the version replaced
// is not there yet to be compared with.
func (r *reconciler) breaks(m *modelState, a *accepted, version string, res *loader.Resident) (why string, pending bool) {
	if a.doc.Traffic.AllowBreaking || a.doc.Versions[version].AllowBreaking || r.serves(m, a, version, res) {
		return "", false
	}
	w, ok := r.replaced(m, a, version)
	if !ok {
		return "", false
	}
	before, st := r.loader.Lookup(w)
	if before == nil {
		if st.Tried() || st.State == loader.StateUnknown {
			return "", false // there is nobody whose callers it could break
		}
		return fmt.Sprintf("version %s is compared with version %s, which is %s", version, w.Version, strings.ToLower(st.State.String())), true
	}
	is, differences := artifact.CompareVersions(before.Signature(), res.Signature())
	if is != artifact.Breaking {
		return "", false
	}
	field := fmt.Sprintf("versions.%q.allow_breaking", version)
	if a.doc.Follow != nil {
		field = "traffic.allow_breaking" // the versions are not the document's to say
	}
	return fmt.Sprintf("version %s breaks the callers of version %s (%s): %s lets it take weight all the same",
		version, w.Version, strings.Join(differences, ", "), field), false
}

// serves reports that a version of a document has weight already: in what is
// in force, or was when the process ended before.
func (r *reconciler) serves(m *modelState, a *accepted, version string, res *loader.Resident) bool {
	if was, ok := m.routed[version]; ok && m.weights[version] > 0 {
		old, _ := r.loader.Lookup(was)
		return old != nil && old.Digest() == res.Digest()
	}
	last := m.lastGood
	return m.inForce == nil && last != nil && r.weightsOf(m, last)[version] > 0 && r.wantedVersion(m, last, version) == r.wantedVersion(m, a, version)
}

// replaced is the version whose callers another one gets: of a rollout the
// stable one, else the heaviest of what is in force, or of what was when the
// process ended before. A model's first document replaces nobody.
func (r *reconciler) replaced(m *modelState, a *accepted, version string) (loader.Wanted, bool) {
	if ro := a.doc.Rollout; ro != nil && version == ro.Canary {
		return r.wantedVersion(m, a, ro.Stable), true
	}
	if m.inForce != nil {
		main := heaviest(m.weights)
		return m.routed[main], main != ""
	}
	if last := m.lastGood; last != nil && last != a {
		return r.wantedVersion(m, last, heaviest(r.weightsOf(m, last))), true
	}
	return loader.Wanted{}, false
}

// weightsOf are a document's weights as they are now.
func (r *reconciler) weightsOf(m *modelState, a *accepted) map[string]float64 {
	return r.steer(m.name, a.doc, r.opts.Now()).Weights
}

// heaviest is the version with the largest weight, of equal ones the oldest.
func heaviest(weights map[string]float64) string {
	main := ""
	for version, weight := range weights {
		if main == "" || cmp.Or(cmp.Compare(weight, weights[main]), configs.CompareVersions(main, version)) > 0 {
			main = version
		}
	}
	return main
}

// breakingCanary says why a rollout whose document is in force does not begin,
// empty where its canary breaks nobody.
func (r *reconciler) breakingCanary(m *modelState) string {
	canary := m.inForce.doc.Rollout.Canary
	res, _ := r.loader.Lookup(r.wantedVersion(m, m.inForce, canary))
	if res == nil {
		return ""
	}
	why, _ := r.breaks(m, m.inForce, canary, res)
	return why
}

// showCompatibility notes for status and metrics what the versions of a model's
// newest document are to its main one.
func (r *reconciler) showCompatibility(m *modelState) {
	m.compatibility = nil
	a := m.newestGood()
	if a == nil {
		return
	}
	main := r.mainOf(m, a)
	before, _ := r.loader.Lookup(r.wantedVersion(m, a, main))
	if before == nil {
		return
	}
	m.compatibility = map[string]configs.CompatibilityStatus{}
	for version := range a.doc.Versions {
		if res, _ := r.loader.Lookup(r.wantedVersion(m, a, version)); res != nil && version != main {
			is, differences := artifact.CompareVersions(before.Signature(), res.Signature())
			m.compatibility[version] = configs.CompatibilityStatus{Than: main, Is: string(is), Differences: differences}
			r.metrics.signature(m.name, version, is == artifact.Breaking)
		}
	}
}

// mainOf is the version that the others of a document are compared with.
func (r *reconciler) mainOf(m *modelState, a *accepted) string {
	if a.doc.Rollout != nil {
		return a.doc.Rollout.Stable
	}
	if main := heaviest(m.weights); main != "" {
		if _, ok := a.doc.Versions[main]; ok {
			return main
		}
	}
	return heaviest(r.weightsOf(m, a))
}
