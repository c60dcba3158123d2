package loader

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/segue-serving/segue/loader/store"
)

// step does what the plan says. Idle is true when the Manager is to stop and
// nothing is loading or in memory any more.
func (m *Manager) step(ctx context.Context, stopping bool, work *sync.WaitGroup) (next time.Time, idle bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if stopping {
		m.wanted = nil
	}
	sweep := m.sweep(now)
	views := make([]view, len(m.tries))
	for i, t := range m.tries {
		views[i] = t.view
	}
	actions, next := plan(now, m.mostNeededFirst(), views)
	if next.IsZero() || !sweep.IsZero() && sweep.Before(next) {
		next = sweep
	}
	tries := slices.Clone(m.tries)
	for _, a := range actions {
		switch a.kind {
		case actionStart:
			m.start(ctx, &try{view: view{wanted: a.wanted}, status: Status{Wanted: a.wanted, Attempt: 1}}, work)
		case actionRetry:
			old := tries[a.at]
			m.remove(old)
			m.start(ctx, &try{view: view{wanted: a.wanted}, cost: old.cost, short: old.short, status: Status{
				Wanted: a.wanted, Attempt: old.status.Attempt + 1, Reason: old.status.Reason,
			}}, work)
		case actionRevive:
			old := tries[a.at]
			m.remove(old)
			m.start(ctx, &try{view: view{wanted: a.wanted}, cost: old.cost, status: Status{Wanted: a.wanted, Attempt: 1}}, work)
		case actionCancel:
			tries[a.at].cancelled = true
			tries[a.at].cancel()
		case actionDrain, actionEvict:
			t := tries[a.at]
			t.evicting = a.kind == actionEvict
			m.enter(t, StateDraining)
			work.Go(func() { m.layToRest(t) })
		case actionBury:
			m.enter(tries[a.at], StateGone)
		case actionForget:
			m.remove(tries[a.at])
			m.forgetSeries(a, tries)
		}
	}
	if !stopping {
		return next, false
	}
	busy := slices.ContainsFunc(m.tries, func(t *try) bool { return t.state != StateGone })
	return next, !busy
}

// mostNeededFirst is what is wanted, that which has to be in memory before that
// which could go again: where there is not room for all, it should be theirs.
// The caller holds the lock.
func (m *Manager) mostNeededFirst() []Wanted {
	needed := slices.Clone(m.wanted)
	slices.SortStableFunc(needed, func(a, b Wanted) int {
		return cmp.Compare(oneIf(m.terms[a].evictable()), oneIf(m.terms[b].evictable()))
	})
	return needed
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// start begins a try. The caller holds the lock.
func (m *Manager) start(ctx context.Context, t *try, work *sync.WaitGroup) {
	ctx, t.cancel = context.WithCancel(ctx)
	m.tries = append(m.tries, t)
	m.enter(t, StateWanted)
	work.Go(func() {
		defer t.cancel()
		m.load(ctx, t)
		signal(m.wake)
	})
}

func (m *Manager) remove(t *try) {
	m.tries = slices.DeleteFunc(m.tries, func(other *try) bool { return other == t })
	signal(m.changed)
}

// forgetSeries deletes the metrics of a version that is remembered no more.
func (m *Manager) forgetSeries(a action, tries []*try) {
	gone := tries[a.at].wanted
	if !slices.ContainsFunc(m.tries, func(t *try) bool {
		return t.wanted.Model == gone.Model && t.wanted.Version == gone.Version
	}) {
		m.options.Metrics.forget(gone)
	}
}

// enter moves a try to a state, which must be ahead, and announces it. The
// caller holds the lock.
func (m *Manager) enter(t *try, s State) {
	if !mayFollow(t.state, s) {
		panic("loader: " + t.wanted.String() + " cannot go from " + t.state.String() + " to " + s.String())
	}
	now := time.Now()
	if t.state.loading() && t.state != StateWanted {
		took := now.Sub(t.since)
		t.status.Phases = append(slices.Clip(t.status.Phases), Phase{State: t.state, Took: took})
		m.options.Metrics.phase(t.state, took)
	}
	t.state, t.since = s, now
	t.status.State, t.status.Since = s, now
	signal(m.changed)
}

// layToRest waits for the last user of a draining version and closes it.
func (m *Manager) layToRest(t *try) {
	log := m.log(t)
	t.resident.drain()
	<-t.resident.idle
	err := t.resident.instance.Close()
	t.resident.release()
	if err != nil {
		log.Warn("version did not close cleanly", "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		t.status.Reason = "close: " + err.Error()
	}
	t.resident = nil
	m.roomCame()
	m.retryShort()
	if t.evicting && slices.Contains(m.wanted, t.wanted) {
		log.Info("version is unloaded", "drained_for", time.Since(t.since))
		m.enter(t, StateEvicted)
		return
	}
	log.Info("version is gone", "drained_for", time.Since(t.since))
	m.enter(t, StateGone)
	signal(m.wake)
}

func (m *Manager) log(t *try) *slog.Logger {
	return m.options.Log.With("model", t.wanted.Model, "version", t.wanted.Version, "uri", t.wanted.URI)
}

// failed records that a try did not bring its version to life.
func (m *Manager) failed(t *try, f *failure, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unreserve(t)
	// The numbers of a lack of memory are others every time.
	short := f.cause == causeMemory
	again := t.status.Attempt > 1 && (t.status.Reason == reason || short && t.short)
	t.short = short
	if t.cancelled {
		t.status.Reason = "not wanted any more"
		m.enter(t, StateGone)
		m.options.Metrics.ended(outcomeCancelled)
		return
	}
	t.permanent, t.status.Permanent = f.permanent, f.permanent
	t.status.Reason = reason
	m.enter(t, StateFailed)
	m.options.Metrics.failed(t.wanted, f.cause)
	m.options.Metrics.ended(outcomeFailed)
	log := m.log(t).With("reason", reason, "cause", string(f.cause), "attempt", t.status.Attempt)
	if f.permanent {
		log.Error("version failed, and is not tried again")
		return
	}
	t.retryAt = f.until
	if t.retryAt.IsZero() {
		t.retryAt = time.Now().Add(max(backoff(t.status.Attempt, rand.Float64()), min(store.WaitOf(f.err), maxWait)))
	} else {
		t.quarantined = true
	}
	t.status.RetryAt = t.retryAt
	level := slog.LevelWarn
	if again {
		level = slog.LevelDebug // said before
	}
	log.Log(context.Background(), level, "version failed, and is tried again", "at", t.retryAt)
}
