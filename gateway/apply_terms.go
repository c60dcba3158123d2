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
func (r *reconciler) terms() map[loader.Wanted]loader.Terms {
	terms := map[loader.Wanted]loader.Terms{}
	for _, m := range r.models {
		for _, a := range []*accepted{m.lastGood, m.inForce, m.wanted} {
			if a == nil {
				continue
			}
			for version := range a.doc.Versions {
				terms[r.wantedVersion(m, a, version)] = termsOf(a.doc, version)
			}
		}
	}
	return terms
}

func termsOf(doc *configs.Document, version string) loader.Terms {
	return loader.Terms{
		RunLimit: max(leastRunLimit, time.Duration(doc.Limits.Timeout)), Attempt: doc.Versions[version].Attempt,
	}
}
