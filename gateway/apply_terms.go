package gateway

import (
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

// leastRunLimit is how long a run in the probe may take at least. Nobody waits
// longer for an answer unless the document says so.
const leastRunLimit = 5 * time.Second

// terms are those on which the loader is asked for the versions of documents.
// What any of a model's documents keeps in memory is kept.
func (r *reconciler) terms() map[loader.Wanted]loader.Terms {
	terms := map[loader.Wanted]loader.Terms{}
	for _, m := range r.models {
		for _, a := range []*accepted{m.lastGood, m.inForce, m.wanted} {
			if a == nil {
				continue
			}
			kept := r.keeps(m, a)
			for version := range a.doc.Versions {
				w := r.wantedVersion(m, a, version)
				t := r.termsOf(a.doc, version)
				t.Keep = t.Keep || kept[version] || terms[w].Keep
				terms[w] = t
			}
		}
	}
	return terms
}

func (r *reconciler) termsOf(doc *configs.Document, version string) loader.Terms {
	v := doc.Versions[version]
	return loader.Terms{
		RunLimit: max(leastRunLimit, time.Duration(doc.Limits.Timeout)), Attempt: v.Attempt,
		Idle: time.Duration(doc.RuntimeOf(version, r.opts.Runtime).IdleUnload), Keep: v.Pin,
	}
}

// keeps are the versions of a document that have to be in memory whether they
// are asked for or not: who has weight or copies, now or by the document alone,
// and both sides of a rollout, each of which the other may be changed for.
func (r *reconciler) keeps(m *modelState, a *accepted) map[string]bool {
	kept := map[string]bool{}
	for _, weights := range []map[string]float64{r.weightsOf(m, a), a.doc.WeightsOr(r.opts.ModelVersion), a.doc.Traffic.Shadow} {
		for version, weight := range weights {
			kept[version] = kept[version] || weight > 0
		}
	}
	if a == m.inForce {
		for version, weight := range m.weights {
			kept[version] = kept[version] || weight > 0
		}
	}
	if ro := a.doc.Rollout; ro != nil {
		kept[ro.Stable], kept[ro.Canary] = true, true
	}
	return kept
}

// asker is what brings a version back that was unloaded because it was idle,
// nil for any other.
func (r *reconciler) asker(w loader.Wanted, st loader.Status) func() {
	if st.State != loader.StateEvicted && st.State != loader.StateDraining {
		return nil
	}
	return func() { r.loader.Ask(w) }
}
