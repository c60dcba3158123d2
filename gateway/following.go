package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
)

// followed is what the gateway knows of the registry that a model's document
// follows. What was found last stands until something newer can be read: through
// an outage of the registry, a restart, and the loss of the key.
type followed struct {
	// block is that of the newest document that could be read, nil where it
	// follows nothing.
	block *configs.Follow
	// newest is the entry that was looked at last, entry and found the last good
	// one.
	newest, entry configs.Entry
	found         *configs.Resolution
	// unresolved reports that the newest document waits for an answer.
	unresolved bool
}

// readResolution looks at what was found in a registry, and reports whether it is
// news.
func (r *reconciler) readResolution(m *modelState, e configs.Entry) (news bool) {
	f := &m.followed
	if e.Value == nil || sameEntry(f.newest, e) {
		return false
	}
	f.newest = e
	found, err := configs.ParseResolution(e)
	if err != nil {
		r.log.Error("resolution refused; what was found before stays", "model", m.name, "where", e.Where, "index", e.Index, "problems", problemLines(err))
		r.metrics.configRejected(m.name, "resolution")
		return false
	}
	f.entry, f.found = e, found
	return true
}

// resolve puts what was found into a document that follows a registry.
func (r *reconciler) resolve(m *modelState, doc *configs.Document) (*configs.Document, configs.Entry, error) {
	m.followed.block = doc.Follow
	if doc.Follow == nil {
		return doc, configs.Entry{}, nil
	}
	full, err := doc.Resolve(m.followed.found)
	return full, m.followed.entry, err
}

// toResolve is what registries are to be asked for, by model: nothing while
// settings are frozen.
func (r *reconciler) toResolve() map[string]configs.Follow {
	wanted := map[string]configs.Follow{}
	for name, m := range r.models {
		if block := m.followed.block; block != nil && !r.frozen() && !m.absent {
			wanted[name] = *block
		}
	}
	return wanted
}

// followStatus says what a model follows, nil where it follows nothing.
func (r *reconciler) followStatus(m *modelState) *configs.FollowStatus {
	f := m.followed
	if f.block == nil {
		return nil
	}
	s := &configs.FollowStatus{From: f.block.From, Problem: r.resolver.problem(m.name)}
	if f.found.Answers(f.block) {
		s.Aliases, s.By, s.At = f.found.Aliases, f.found.By, f.found.At
	}
	return s
}

// waitingForRegistry says why a document has no versions yet, empty where it has.
func (r *reconciler) waitingForRegistry(m *modelState) string {
	if !m.followed.unresolved {
		return ""
	}
	problem := r.resolver.problem(m.name)
	if problem != "" {
		problem = ": " + problem
	}
	return fmt.Sprintf("%s was not asked yet for what the document wants%s", m.followed.block.From, problem)
}

// resolved records that a registry was found to have changed.
func (a *auditor) resolved(model string, index uint64, before, after []byte, changes, who string, at time.Time) {
	record := configs.AuditRecord{
		Model: model, Index: index, Event: configs.EventResolve, At: at, Who: configs.AuditWho{User: who}, Reason: strings.TrimSpace(changes),
		Document: string(after), Outcome: "written",
	}
	if before != nil {
		record.BeforeDigest = configs.EntryDigest(before)
	}
	a.addRecord(record)
}
