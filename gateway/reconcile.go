package gateway

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/monitor"
	"github.com/segue-serving/segue/loader"
)

// versions is what the reconciler asks of the loader.
type versions interface {
	SetWanted(all []loader.Wanted)
	SetTerms(terms map[loader.Wanted]loader.Terms)
	Ask(w loader.Wanted)
	Lookup(w loader.Wanted) (*loader.Resident, loader.Status)
}

// reconciler brings what operators want and what is loaded together into the
// table in force. All its state belongs to the goroutine in run; everybody
// else sends it something.
//
//	source ──snapshot──┐
//	loader ──changed───┼─▶ pass: read documents → ask the loader → publish a
//	timers ──wake──────┘         table when all it points at is ready → let the
//	                             old versions go → say so in status and audit
type reconciler struct {
	opts    Options
	log     *slog.Logger
	loader  versions
	router  *router
	metrics *Metrics
	audit   *auditor
	status  *statusPublisher
	keeper  *keeper

	snapshots chan configs.Snapshot // holds at most the newest
	changed   chan struct{}         // the loader moved on
	judge     chan struct{}         // a canary did something bad, or others have seen more
	heard     chan struct{}         // there is feedback, or drift, for the status to show
	// decisions are written and evidence is exchanged by goroutines of their
	// own; judged is when rollouts were judged last.
	decisions *decisionWriter
	exchange  *evidenceExchange
	// resolver asks the registries that documents follow.
	resolver *resolver
	// monitor watches what the versions in force see and say.
	monitor *monitor.Monitor
	judged  time.Time
	// announce says what was taken back, once it is out of the table in force
	// and on disk.
	announce []func()
	// forced says what came into force, once it is in the table in force.
	forced []func()

	models    map[string]*modelState
	overrides map[string]*overrideState
	settings  settingsState
	// signatures are asked by the loader.
	signatures signatures
	limiters   map[string]*modelLimiter
	breakers   map[*loader.Resident]*breaker
	// snapshot is the newest one; seen reports that there was one.
	snapshot configs.Snapshot
	seen     bool
	ready    bool
	why      string
	// draining reports that the data server lets go of its clients.
	draining atomic.Bool
	// blocked reports that the guard against mass deletion keeps models.
	blocked bool
	// tabled are the versions that the table in force points at.
	tabled map[loader.Wanted]struct{}
	// shown are the versions that have series, leaving those that have been
	// out of use since a time and will lose theirs.
	shown   map[versionName]struct{}
	leaving map[versionName]time.Time
	// kept is what went to disk last.
	kept configs.Snapshot
}

type versionName struct{ model, version string }

// seriesKept is how long the series of a version that is gone are still
// exported, so that the last scrape is not lost.
const seriesKept = 15 * time.Minute

// idlePass is the longest time between two passes.
const idlePass = time.Hour

func newReconciler(opts Options, versions versions, rt *router, m *Metrics) *reconciler {
	r := &reconciler{
		opts: opts, log: opts.Log, loader: versions, router: rt, metrics: m,
		audit:     newAuditor(opts.Store, opts.Log, opts.Now, m),
		status:    newStatusPublisher(),
		keeper:    newKeeper(opts.StateDir, opts.SourceID, opts.Log),
		snapshots: make(chan configs.Snapshot, 1), changed: make(chan struct{}, 1), judge: make(chan struct{}, 1), heard: make(chan struct{}, 1),
		models: map[string]*modelState{}, overrides: map[string]*overrideState{}, limiters: map[string]*modelLimiter{},
		breakers: map[*loader.Resident]*breaker{},
		settings: settingsState{access: openAccess()},
		leaving:  map[versionName]time.Time{},
		why:      "the first configuration has not been read yet",
	}
	r.decisions = newDecisionWriter(opts, m, r.audit, r.loaderChanged)
	epoch := epochOf(opts.Instance, opts.Now())
	r.exchange = newExchange(opts, m, epoch, r.judgeSoon)
	r.resolver = newResolver(opts, m, r.audit, r.loaderChanged)
	r.monitor = newMonitor(opts, m, epoch, r.feedbackCame)
	m.watchDrift(r.monitor)
	return r
}

// offer hands over a snapshot and replaces one that was not looked at yet. It
// must be called from one goroutine at a time, and never blocks.
func (r *reconciler) offer(s configs.Snapshot) {
	select {
	case <-r.snapshots:
	default:
	}
	r.snapshots <- s
}

// loaderChanged says that some version changed its state. It never blocks.
func (r *reconciler) loaderChanged() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// feedbackCame says that there is feedback. It never blocks.
func (r *reconciler) feedbackCame() {
	select {
	case r.heard <- struct{}{}:
	default:
	}
}

// drain makes the status say that the gateway is not ready. It never blocks.
func (r *reconciler) drain() {
	r.draining.Store(true)
	r.loaderChanged()
}

// run works until ctx ends.
func (r *reconciler) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var wake, passed time.Time
	wakeAt := func(t time.Time) {
		wake = t
		timer.Reset(max(time.Millisecond, wake.Sub(r.opts.Now())))
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-r.snapshots:
			r.ingest(s)
		case <-r.changed:
		case <-r.judge:
			if soonest := r.judged.Add(judgeAfter); r.opts.Now().Before(soonest) {
				wakeAt(soonest)
				continue
			}
		case <-r.heard:
			if soonest := passed.Add(qualityShown); soonest.Before(wake) {
				wakeAt(soonest)
			}
			continue
		case <-timer.C:
		}
		passed = r.opts.Now()
		wakeAt(r.pass(passed))
	}
}

// pass brings the table up to date with documents, loader and clock, and
// returns when to look again. The loader is asked twice: first for all that is
// wanted or that the old table points at, and then, with the new table in
// force, for what is left.
func (r *reconciler) pass(now time.Time) (next time.Time) {
	next = now.Add(idlePass)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	r.stateSignatures()
	r.askLoader()
	sooner(r.takeDecided(now))
	for _, m := range r.sorted() {
		r.advance(m, now)
	}
	sooner(r.judgeRollouts(now))
	sooner(r.removeDeleted(now))
	sooner(r.endOverrides(now))
	sooner(r.rereadKey(now))
	r.judgeReadiness(now)
	r.resolver.follow(r.toResolve())
	r.publish(now)
	for _, say := range r.forced {
		say()
	}
	r.forced = nil
	r.askLoader()
	sooner(r.forgetSeries(now))
	r.status.set(r.gatewayStatus(now))
	r.keepInForce()
	return next
}

// advance puts into force what can be: the newest accepted document; while
// that waits, the one in force under the weights that it has now; while
// nothing serves, the last good one.
func (r *reconciler) advance(m *modelState, now time.Time) {
	m.waiting = ""
	for _, a := range []*accepted{m.wanted, cmp.Or(m.inForce, m.lastGood)} {
		if a == nil {
			continue
		}
		s := r.steer(m.name, a.doc, now)
		waiting, _ := r.awaited(m, a, s)
		if waiting == "" {
			r.force(m, a, s)
			return
		}
		m.waiting = cmp.Or(m.waiting, waiting)
	}
}

// force puts a document and its weights into force for one model. What is said
// of it waits until requests are answered under it.
func (r *reconciler) force(m *modelState, a *accepted, s configs.Steering) {
	if m.inForce != a || !maps.Equal(m.weights, s.Weights) || m.hold != s.Hold {
		r.forced = append(r.forced, func() {
			r.log.Info("configuration in force", "model", m.name, "index", a.entry.Index, "weights", s.Weights, "held", s.Hold != nil, "where", a.entry.Where)
		})
	}
	r.enforce(m, a, s)
	if a == m.wanted && !m.applied {
		m.applied = true
		r.forced = append(r.forced, func() {
			at := r.opts.Now()
			r.metrics.configApplied(m.name, a.entry.Index, at, at.Sub(m.changed))
		})
	}
}

// askLoader states the full set of versions to have.
func (r *reconciler) askLoader() {
	set := map[loader.Wanted]struct{}{}
	maps.Copy(set, r.tabled)
	for _, m := range r.models {
		r.wantedSet(m, set)
	}
	r.loader.SetTerms(r.terms())
	r.loader.SetWanted(slices.Collect(maps.Keys(set)))
}

func (r *reconciler) sorted() []*modelState {
	out := make([]*modelState, 0, len(r.models))
	for _, name := range slices.Sorted(maps.Keys(r.models)) {
		out = append(out, r.models[name])
	}
	return out
}

// show notes which versions have series, and since when others are out of use.
func (r *reconciler) show(now time.Time) {
	shown := map[versionName]struct{}{}
	for _, m := range r.models {
		for _, a := range []*accepted{m.wanted, m.inForce, m.lastGood} {
			if a == nil {
				continue
			}
			for version := range a.doc.Versions {
				shown[versionName{m.name, version}] = struct{}{}
			}
		}
	}
	for name := range r.shown {
		if _, still := shown[name]; !still {
			r.leaving[name] = now
		}
	}
	for name := range shown {
		delete(r.leaving, name)
	}
	r.shown = shown
}

// forgetSeries deletes the series of versions that left long enough ago.
func (r *reconciler) forgetSeries(now time.Time) (next time.Time) {
	for name, since := range r.leaving {
		end := since.Add(seriesKept)
		if now.Before(end) {
			if next.IsZero() || end.Before(next) {
				next = end
			}
			continue
		}
		r.metrics.forget(name.model, name.version)
		r.monitor.Forget(name.model, name.version)
		delete(r.leaving, name)
	}
	return next
}

// judgeReadiness sets ready once every model serves or was tried in vain, and
// those that settings require serve. It never goes back: later trouble with a
// new version is no reason to take the gateway out.
func (r *reconciler) judgeReadiness(now time.Time) {
	if r.ready || !r.seen {
		return
	}
	serving := 0
	for _, m := range r.sorted() {
		switch {
		case m.inForce != nil:
			serving++
		case r.pending(m, now):
			r.why = fmt.Sprintf("model %s: %s", m.name, m.waiting)
			return
		}
	}
	if s := r.settings.inForce; s != nil && len(s.ReadyRequires) > 0 {
		for _, name := range s.ReadyRequires {
			if m := r.models[name]; m == nil || m.inForce == nil {
				r.why = fmt.Sprintf("model %s, which settings.ready_requires names, does not serve", name)
				return
			}
		}
	} else if len(r.models) > 0 && serving == 0 {
		r.why = "no model serves"
		return
	}
	r.ready, r.why = true, ""
	r.log.Info("ready", "models", len(r.models), "serving", serving)
}

// pending reports that a model which does not serve may yet do so without
// anybody's help: not all that could serve has been tried.
func (r *reconciler) pending(m *modelState, now time.Time) bool {
	for _, a := range []*accepted{m.wanted, m.lastGood} {
		if a == nil {
			continue
		}
		if _, failed := r.awaited(m, a, r.steer(m.name, a.doc, now)); !failed {
			return true
		}
	}
	return false
}
