package gateway

import (
	"slices"
	"time"

	"github.com/segue-serving/segue/configs"
)

// missing is one model whose key an authoritative answer did not hold.
type missing struct {
	model string
	since time.Time
	// named reports that an operator deleted this model by its name.
	named bool
	// guarded reports that the guard kept it before.
	guarded bool
}

// deletions decides which models go now, which the guard keeps, and when to
// look again (zero: no need to). A model goes when it has been missing for
// grace; but when more than half of all models, and more than one, are missing
// together, only those that an operator named go, because a wiped or wrongly
// filtered store looks just like that. A model that was kept stays until it is
// named or back, even when it is the last of those that were missing. A grace
// of zero switches both guards off.
func deletions(gone []missing, models int, grace time.Duration, now time.Time) (remove, kept []string, next time.Time) {
	most := len(gone) > 1 && 2*len(gone) > models
	for _, m := range gone {
		if grace > 0 && (most || m.guarded) && !m.named {
			kept = append(kept, m.model)
			continue
		}
		if end := m.since.Add(grace); now.Before(end) {
			if next.IsZero() || end.Before(next) {
				next = end
			}
			continue
		}
		remove = append(remove, m.model)
	}
	slices.Sort(remove)
	return remove, kept, next
}

// noteMissing starts deletions. Only an answer that is known to be whole may
// start one, and none while settings are frozen.
func (r *reconciler) noteMissing(s configs.Snapshot) {
	now := r.opts.Now()
	for _, m := range r.sorted() {
		if _, there := s.Models[m.name]; there {
			continue
		}
		m.absent = true
		m.named = m.named || r.deletedByName(m.name)
		switch {
		case r.frozen():
			m.missingSince = time.Time{}
		case s.Authoritative && m.missingSince.IsZero():
			m.missingSince = now
			r.log.Warn("document is gone: the model serves on for the grace period", "model", m.name, "by_name", m.named, "grace", r.settings.inForce.Grace())
		}
	}
}

// noteBack ends a deletion: the model's key is there.
func (r *reconciler) noteBack(m *modelState) {
	if !m.missingSince.IsZero() {
		r.log.Info("document is back: deletion cancelled", "model", m.name)
	}
	m.absent, m.missingSince, m.named = false, time.Time{}, false
}

// removeDeleted lets models go whose keys are missing for long enough.
func (r *reconciler) removeDeleted(now time.Time) (next time.Time) {
	var gone []missing
	for _, m := range r.sorted() {
		if !m.missingSince.IsZero() {
			gone = append(gone, missing{m.name, m.missingSince, m.named, m.guarded})
		}
	}
	grace := r.settings.inForce.Grace()
	remove, kept, next := deletions(gone, len(r.models), grace, now)
	if len(kept) > 0 && !r.blocked {
		r.log.Error("most models are missing from the configuration at once: none of them goes until it is deleted by name",
			"missing", kept, "models", len(r.models), "remedy", "seguectl delete MODEL…, or restore the keys")
	}
	r.blocked = len(kept) > 0
	for _, m := range r.models {
		m.guarded = slices.Contains(kept, m.name)
	}
	for _, name := range remove {
		r.log.Warn("model deleted", "model", name, "missing_since", r.models[name].missingSince)
		delete(r.models, name)
		delete(r.limiters, name)
		r.metrics.forgetModel(name)
	}
	return next
}
