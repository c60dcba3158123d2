package gateway

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
)

const (
	// judgeEvery is how often rollouts are judged at least, judgeAfter how soon
	// after a bad event.
	judgeEvery = time.Second
	judgeAfter = 10 * time.Millisecond
	// decideAgain is how long a decision may be on its way before it is made
	// anew.
	decideAgain = 2 * time.Second
)

// judgeSoon says that there is something to judge. It never blocks.
func (r *reconciler) judgeSoon() {
	select {
	case r.judge <- struct{}{}:
	default:
	}
}

// steer says what a document and the override beside it come to.
func (r *reconciler) steer(model string, doc *configs.Document, now time.Time) configs.Steering {
	return doc.Steer(r.overrideOf(model, doc), r.opts.ModelVersion, now)
}

// overrideOf is what was decided beside a model's document: what this gateway
// decided itself on the document's rollout and could not write yet, or what the
// store holds.
func (r *reconciler) overrideOf(model string, doc *configs.Document) *configs.Override {
	o := r.overrides[model]
	switch {
	case o == nil:
		return nil
	case o.local != nil && doc.Rollout != nil && o.local.Rollout.Basis == doc.Basis():
		return o.local
	case o.good == nil:
		return nil
	}
	return o.good.Override
}

// judgeRollouts judges every rollout that is under way, makes what decisions
// follow, and returns when to look again. What it takes back is out of the very
// next table.
func (r *reconciler) judgeRollouts(now time.Time) (next time.Time) {
	r.judged = now
	var live []*liveRollout
	for _, m := range r.sorted() {
		state := r.runningState(m, now)
		if state == nil {
			m.live = nil
			r.start(m, now)
			continue
		}
		if m.live == nil || m.live.id != state.ID() {
			l, err := newLiveRollout(m.name, r.exchange.epoch, m.inForce.doc, state, r.classNames(m))
			if err != nil {
				r.log.Error("rollout cannot be followed", "model", m.name, "error", err)
				continue
			}
			m.live = l
		}
		live = append(live, m.live)
		m.live.enter(state)
		m.live.judge(state, now)
		r.follow(m, state, now)
		if r.overrides[m.name].local != nil {
			m.live = nil
			r.advance(m, now)
		}
	}
	r.exchange.follow(live)
	if len(live) > 0 {
		next = now.Add(judgeEvery)
	}
	return next
}

// runningState is the state of the rollout that a model's document in force is
// in the middle of. Under a hold nothing is judged: the weights are not those
// of the rollout.
func (r *reconciler) runningState(m *modelState, now time.Time) *configs.RolloutState {
	if m.inForce == nil || m.inForce.doc.Rollout == nil {
		return nil
	}
	s := r.steer(m.name, m.inForce.doc, now)
	if s.Hold != nil || s.Rollout == nil || !s.Rollout.Running() {
		return nil
	}
	return s.Rollout
}

// start begins a rollout of which nothing is decided yet, once its document,
// the newest, is in force and both of its versions can answer.
func (r *reconciler) start(m *modelState, now time.Time) {
	if m.inForce == nil || m.inForce != m.wanted || m.inForce.doc.Rollout == nil || r.frozen() || !r.current(m) {
		return
	}
	s := r.steer(m.name, m.inForce.doc, now)
	if s.Hold != nil || s.Rollout != nil || s.Problem != nil || !r.answers(m, m.inForce.doc.Rollout.Canary) || !r.answers(m, m.inForce.doc.Rollout.Stable) {
		return
	}
	if why := r.breakingCanary(m); why != "" {
		m.waiting = "the rollout waits: " + why
		return
	}
	r.decide(m, configs.Decision{Event: configs.DecideStart, Reason: "the document has a rollout and both versions are ready"}, now)
}

// answers reports that a version of the document in force can answer.
func (r *reconciler) answers(m *modelState, version string) bool {
	res, _ := r.loader.Lookup(r.wantedVersion(m, m.inForce, version))
	return res != nil
}

// follow does what the newest verdict says.
func (r *reconciler) follow(m *modelState, state *configs.RolloutState, now time.Time) {
	l := m.live
	r.tellVerdict(l)
	if reason := r.brokenCanary(m); reason != "" {
		r.rollBack(m, configs.Decision{Reason: reason}, "breaker", now)
		return
	}
	switch v := l.verdict; v.Action {
	case rollout.Rollback:
		if !v.Decisive {
			// No evidence that it is worse, so nothing to hurry for: another
			// gateway may have gone on, on evidence that this one lacks.
			r.decide(m, configs.Decision{Event: configs.DecideRollback, Reason: v.Reason, Digest: r.canaryDigest(m), Evidence: l.numbers()}, now)
			return
		}
		r.rollBack(m, configs.Decision{Reason: v.Reason, Guard: v.Guard.String(), Evidence: l.numbers()}, v.Guard.String(), now)
	case rollout.Advance, rollout.Promote:
		if r.frozen() || m.inForce != m.wanted {
			return
		}
		r.decide(m, configs.Decision{Event: configs.DecideStep, Reason: v.Reason, Evidence: l.numbers()}, now)
	}
}

// tellVerdict logs a verdict that is another than the one before.
func (r *reconciler) tellVerdict(l *liveRollout) {
	if v := l.verdict; v.Action != l.told {
		l.told = v.Action
		r.log.Info("rollout", "model", l.model, "rollout", l.id, "step", l.step+1, "verdict", v.Action, "reason", v.Reason, "waiting", v.Waiting,
			"requests", v.Requests, "stable_requests", v.StableRequests)
	}
}

// brokenCanary says why a canary is taken back whose breaker opened while
// stable's did not; empty where that is not so. What breaks both is not the
// canary's fault.
func (r *reconciler) brokenCanary(m *modelState) string {
	ro := m.inForce.doc.Rollout
	open := func(version string) bool {
		res, _ := r.loader.Lookup(m.routed[version])
		return res != nil && r.breakers[res].state() == breakerOpen
	}
	if m.live.step < 0 || !open(ro.Canary) || open(ro.Stable) {
		return ""
	}
	return fmt.Sprintf("breaker: half or more of at least %d runs of version %s failed in %d seconds, and those of version %s did not",
		breakerRequests, ro.Canary, breakerSeconds, ro.Stable)
}

// canaryDigest is the digest of the canary in force, empty while it is not in
// memory.
func (r *reconciler) canaryDigest(m *modelState) string {
	if res, _ := r.loader.Lookup(m.routed[m.inForce.doc.Rollout.Canary]); res != nil {
		return res.Digest()
	}
	return ""
}

// rollBack takes the canary back here at once, and writes so for the others.
func (r *reconciler) rollBack(m *modelState, d configs.Decision, label string, now time.Time) {
	o := r.overrides[m.name]
	if o == nil {
		return
	}
	d.Event, d.By, d.At = configs.DecideRollback, gatewayName(r.opts.Instance), now.UTC()
	canary := m.inForce.doc.Rollout.Canary
	d.Digest = r.canaryDigest(m)
	next, err := m.inForce.doc.Decide(r.overrideOf(m.name, m.inForce.doc), d)
	if err != nil {
		r.log.Error("rollback cannot be decided", "model", m.name, "error", err)
		return
	}
	o.local, o.localOver = next, o.newest.Index
	live := m.live
	r.announce = append(r.announce, func() {
		r.metrics.rolledBack(m.name, label)
		r.log.Warn("canary taken back", "model", m.name, "rollout", live.id, "version", canary, "digest", d.Digest, "step", live.step+1,
			"why", label, "reason", d.Reason, "evidence", d.Evidence)
	})
	r.writeDecision(m.inForce.doc, next, "", now)
}

// announceRollbacks says what was taken back, once that is on disk: a gateway
// that crashes after it was heard to take a canary back must not serve it again
// when it starts. The table without the canary is in force by then, so that no
// request waits for the disk.
func (r *reconciler) announceRollbacks() {
	if len(r.announce) == 0 {
		return
	}
	r.keepInForce()
	r.keeper.flush()
	for _, say := range r.announce {
		say()
	}
	r.announce = nil
}

// decide makes a decision that counts once the store has it: no gateway moves
// weights by itself.
func (r *reconciler) decide(m *modelState, d configs.Decision, now time.Time) {
	if o := r.overrides[m.name]; o != nil && now.Before(o.decidingUntil) {
		return
	}
	d.By, d.At = gatewayName(r.opts.Instance), now.UTC()
	next, err := m.inForce.doc.Decide(r.overrideOf(m.name, m.inForce.doc), d)
	if err != nil {
		if !errors.Is(err, configs.ErrDecided) {
			r.log.Error("rollout", "model", m.name, "decision", d.Event, "error", err)
		}
		return
	}
	counts := ""
	if d.Event == configs.DecideRollback {
		counts = "inconclusive"
	}
	r.writeDecision(m.inForce.doc, next, counts, now)
}

// writeDecision sends a decision on its way to the store, over what was read
// there. Where counts is not empty, it counts as a rollback for that reason once
// it is written.
func (r *reconciler) writeDecision(doc *configs.Document, next *configs.Override, counts string, now time.Time) {
	o := r.overrides[doc.Model]
	if o == nil {
		o = &overrideState{}
		r.overrides[doc.Model] = o
	}
	if r.decisions.write(decided{model: doc.Model, doc: doc, next: next, before: o.newest.Value, index: o.newest.Index, counts: counts}) {
		o.decidingUntil = now.Add(decideAgain)
	}
}

// takeDecided looks at what became of decisions, writes again what only counts
// here so far, and returns when to look again.
func (r *reconciler) takeDecided(now time.Time) (next time.Time) {
	for _, d := range r.decisions.take() {
		o := r.overrides[d.model]
		if o == nil {
			continue
		}
		made := d.next.Rollout.Decision
		switch {
		case d.err == nil:
			r.log.Info("decision written", "model", d.model, "decision", made.Event, "reason", made.Reason, "index", d.written)
			if d.counts != "" {
				r.metrics.rolledBack(d.model, d.counts)
			}
		case errors.Is(d.err, configs.ErrConflict):
			r.log.Info("somebody else decided first", "model", d.model, "decision", made.Event)
		default:
			r.log.Warn("decision is not written yet", "model", d.model, "decision", made.Event, "error", d.err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.overrides)) {
		o := r.overrides[name]
		if o.local != nil && !now.Before(o.decidingUntil) {
			r.replay(name, o, now)
		}
		if o.local != nil {
			next = now.Add(decideAgain)
		}
	}
	return next
}

// replay writes a rollback that the store does not have yet, or lets it go:
// where the store says the same by now, or the operator moved on, be it to
// another rollout, to another run of this one, or by giving the canary traffic
// while this gateway decided. Then new evidence decides. A document that says
// something else is not enough: as long as the store has the run that was taken
// back, it counts again with the document that comes back, and so must this.
func (r *reconciler) replay(model string, o *overrideState, now time.Time) {
	m := r.models[model]
	if m == nil {
		return
	}
	a := m.newestGood()
	if a == nil {
		return
	}
	var stored *configs.Override
	if o.good != nil {
		stored = o.good.Override
	}
	there := a.doc.Steer(stored, r.opts.ModelVersion, now).Rollout
	moved := a.doc.Rollout == nil || a.doc.Basis() != o.local.Rollout.Basis
	switch {
	case moved && r.mayComeBack(o):
		// It says nothing about this document, and waits.
	case moved || there != nil && there.ID() != o.local.Rollout.ID():
		r.log.Info("rollback let go: the operator has moved on", "model", model)
		o.local = nil
	case there != nil && there.Phase == configs.PhaseRolledBack:
		o.local = nil
	case there == nil && !r.current(m):
		o.decidingUntil = now.Add(decideAgain) // the store may know of a rollout that is not known here yet
	case there == nil && stored != nil && stored.Rollout != nil:
		r.log.Info("rollback let go: the operator went to another rollout and back", "model", model)
		o.local = nil
	case o.newest.Index != o.localOver && goesOn(stored, a.doc.Rollout.Canary, now):
		r.log.Warn("rollback let go: an operator gave the canary traffic meanwhile", "model", model, "by", stored.By, "reason", stored.Reason)
		o.local = nil
	default:
		next, err := a.doc.Decide(stored, o.local.Rollout.Decision)
		if err != nil {
			r.log.Error("rollback cannot be written", "model", model, "error", err)
			o.decidingUntil = now.Add(decideAgain)
			return
		}
		// Where the store knows nothing of the rollout, it was lost: what was
		// decided is what stands here.
		if there == nil {
			next = o.local
			if stored.Holds(now) {
				held := *stored
				held.Rollout = o.local.Rollout
				next = &held
			}
		}
		r.writeDecision(a.doc, next, "", now)
	}
}

// mayComeBack reports that the store has the run that was taken back here, and
// not that it was, or that it was not asked yet.
func (r *reconciler) mayComeBack(o *overrideState) bool {
	if o.good == nil {
		return !r.snapshot.Authoritative
	}
	s := o.good.Rollout
	return s != nil && s.ID() == o.local.Rollout.ID() && s.Phase != configs.PhaseRolledBack
}

// goesOn reports that the newest word in an override is that of an operator who
// gives the canary traffic, or that an operator promoted it: no gateway judges
// that any more, though a hold be upon it.
func goesOn(o *configs.Override, canary string, now time.Time) bool {
	held := o.Holds(now)
	if held && o.Weights[canary] > 0 {
		return true
	}
	if o == nil || o.Rollout == nil || strings.HasPrefix(o.Rollout.Decision.By, gatewayName("")) {
		return false
	}
	event := o.Rollout.Decision.Event
	return event == configs.DecidePromote || event == configs.DecideStep && !held
}

// newestGood is the newest document that can be followed.
func (m *modelState) newestGood() *accepted {
	for _, a := range []*accepted{m.wanted, m.inForce, m.lastGood} {
		if a != nil {
			return a
		}
	}
	return nil
}
