package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/segue-serving/segue/configs"
)

// ingest reads a snapshot: each document by itself, so that a bad one changes
// nothing but its own model's alarm. A snapshot whose index is lower than that
// of the one before is as good as any: the store was set up anew or restored.
func (r *reconciler) ingest(s configs.Snapshot) {
	first := !r.seen
	r.snapshot, r.seen = s, true
	if s.Settings != nil {
		r.readSettings(*s.Settings)
	}
	r.metrics.configRead(s.Index, s.Settings != nil, s.FromLastGood, r.frozen())
	r.readOverrides(s)
	for _, name := range slices.Sorted(maps.Keys(s.Models)) {
		r.readDocument(s.Models[name], s.Resolved[name], first)
	}
	r.noteMissing(s)
}

// frozen reports that settings forbid taking new documents.
func (r *reconciler) frozen() bool { return r.settings.inForce != nil && r.settings.inForce.Freeze }

// readDocument looks at one model's entry and takes it if it is new and good.
// While settings are frozen it takes none, but for what the very first snapshot
// holds where nothing is known from before: a gateway that starts during a
// freeze serves what the others serve. A refused document is looked at again,
// because what spoke against it may have changed: settings, or what serves. So is
// one that follows a registry in which something else was found.
func (r *reconciler) readDocument(e, resolved configs.Entry, first bool) {
	m := r.models[e.Name]
	if m == nil {
		m = &modelState{name: e.Name}
		r.models[e.Name] = m
	}
	r.noteBack(m)
	m.frozen = r.frozen() && !m.serves(e, resolved) && (!first || m.lastGood != nil)
	if m.frozen {
		return
	}
	again := sameEntry(m.newest, e)
	if news := r.readResolution(m, resolved) && m.followed.block != nil; again && !news && len(m.problems) == 0 {
		return
	}
	before := m.before()
	m.newest = e
	a, err := r.accept(m, e)
	m.followed.unresolved = errors.Is(err, configs.ErrUnresolved)
	if m.followed.unresolved {
		err = nil // nothing is wrong with it
	}
	problems := problemLines(err)
	if err != nil && !(again && slices.Equal(problems, m.problems)) {
		r.log.Error("document refused; the last good one stays in force", "model", e.Name, "where", e.Where, "index", e.Index, "problems", problems)
		r.metrics.configRejected(e.Name, rejectedReason(err))
	}
	m.problems = problems
	if a != nil {
		r.take(m, a)
	}
	if !again && !sameEntry(before, e) && !r.snapshot.FromLastGood {
		r.audit.document(e.Name, before, e, m.problems)
	}
}

// before is the entry that came before a new one, as far as it is known: the
// newest that was read, or what was in force when the process ended before.
func (m *modelState) before() configs.Entry {
	if m.newest.Index == 0 && m.lastGood != nil {
		return m.lastGood.entry
	}
	return m.newest
}

// take makes an accepted document the wanted one. The same bytes as before are
// no change: they only clear an alarm, and move the index.
func (r *reconciler) take(m *modelState, a *accepted) {
	r.metrics.configAccepted(m.name)
	if m.wanted != nil && bytes.Equal(m.wanted.entry.Value, a.entry.Value) && m.wanted.entry.Base == a.entry.Base && bytes.Equal(m.wanted.resolved.Value, a.resolved.Value) {
		if m.inForce == m.wanted {
			m.inForce = a
		}
		m.wanted = a
		return
	}
	for _, w := range a.warnings {
		r.log.Warn("document", "model", m.name, "where", a.entry.Where, "warning", w.String())
	}
	m.wanted, m.changed, m.applied = a, r.opts.Now(), false
}

// accept parses an entry and checks it against what is in force.
func (r *reconciler) accept(m *modelState, e configs.Entry) (*accepted, error) {
	if e.Problem != "" {
		return nil, errors.New(e.Problem)
	}
	doc, warnings, err := configs.Parse(e)
	if err != nil {
		return nil, err
	}
	doc, resolved, err := r.resolve(m, doc)
	if err != nil {
		return nil, err
	}
	problems := r.checkSigners(doc)
	for _, version := range slices.SortedFunc(maps.Keys(doc.Versions), configs.CompareVersions) {
		digest := doc.Versions[version].Digest
		if digest == "" {
			if r.settings.inForce != nil && r.settings.inForce.RequireDigest {
				problems = append(problems, fmt.Errorf("versions.%q.digest: missing, and settings.require_digest is on: add the digest of the artifact's manifest", version))
			}
			continue
		}
		if served := r.servedDigest(m, version); served != "" && served != digest {
			problems = append(problems, fmt.Errorf("versions.%q.digest: version %s serves with digest %s: what a version holds does not change, so give the new artifact a new version",
				version, version, served))
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &accepted{doc: doc, entry: e, warnings: warnings, resolved: resolved}, nil
}

// servedDigest is the digest with which a version is known to serve, or to
// have served when the process ended before; empty where neither is known.
func (r *reconciler) servedDigest(m *modelState, version string) string {
	if w, ok := m.routed[version]; ok {
		if res, _ := r.loader.Lookup(w); res != nil {
			return res.Digest()
		}
		return ""
	}
	if m.inForce == nil && m.lastGood != nil && m.lastGood.doc.WeightsOr(r.opts.ModelVersion)[version] > 0 {
		return m.lastGood.doc.Versions[version].Digest
	}
	return ""
}

func sameEntry(a, b configs.Entry) bool {
	return a.Index == b.Index && bytes.Equal(a.Value, b.Value) && a.Problem == b.Problem && a.Base == b.Base
}

// problemLines are the single problems of a refusal, for status, log and
// audit; none for nil.
func problemLines(err error) []string {
	if err == nil {
		return nil
	}
	var problems *configs.Problems
	if errors.As(err, &problems) {
		lines := make([]string, 0, len(problems.List)+1)
		for _, p := range problems.List {
			lines = append(lines, p.String())
		}
		if problems.Omitted > 0 {
			lines = append(lines, fmt.Sprintf("and %d more", problems.Omitted))
		}
		return lines
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, e.Error())
		}
		return lines
	}
	return []string{err.Error()}
}

// rejectedReason is the bounded label for why a document was refused.
func rejectedReason(err error) string {
	var problems *configs.Problems
	if errors.As(err, &problems) {
		return "invalid"
	}
	return "conflict"
}
