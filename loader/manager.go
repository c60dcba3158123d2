package loader

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
)

// Manager holds the versions of this process. All methods are safe for
// concurrent use.
type Manager struct {
	options    Options
	verifier   artifact.Verifier
	fetchSlots chan struct{}
	loadSlots  chan struct{}
	wake       chan struct{} // the loop has to look again
	changed    chan struct{} // OnChange has to be called again

	mu     sync.Mutex
	wanted []Wanted
	terms  map[Wanted]Terms
	tries  []*try
	pins   map[pin]string
	kept   map[Wanted]struct{} // what the cache was told of
	// freed is closed, and another one made, when room may have come.
	freed chan struct{}
}

// pin identifies a version whose digest nobody stated.
type pin struct{ model, version, uri, base string }

// try is one try to bring a version to life, and what became of it. Its fields
// are guarded by Manager.mu but for wanted and cancel.
type try struct {
	view
	status   Status
	resident *Resident // from Ready on
	cancel   context.CancelFunc
	// attempt is that of the terms on which the probe was asked, quarantined
	// that it did not let the version through.
	attempt     int
	quarantined bool
	// cost is what it takes of memory, as far as it is known, reserved what of
	// it is not in the process's own yet, short that it did not fit.
	cost     Cost
	reserved int64
	short    bool
	// used is when it was used last, as far as somebody looked.
	used time.Time
}

// New returns a Manager. Nothing happens before Run.
func New(options Options) *Manager {
	m := &Manager{
		options: options.withDefaults(),
		wake:    make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		pins:    make(map[pin]string),
		freed:   make(chan struct{}),
	}
	m.fetchSlots = make(chan struct{}, 4*m.options.Concurrency)
	m.loadSlots = make(chan struct{}, m.options.Concurrency)
	m.options.Metrics.observe(m.Statuses)
	return m
}

// SetWanted states the full set of versions to have in memory. What is left
// out is cancelled, or drained and closed. Duplicates count once.
func (m *Manager) SetWanted(all []Wanted) {
	m.keep(all)
	m.mu.Lock()
	m.wanted = slices.Clone(all)
	m.mu.Unlock()
	signal(m.wake)
}

// SetTerms states on what terms versions are wanted; those left out are wanted
// on the zero Terms. The map is kept and must not be changed any more.
func (m *Manager) SetTerms(terms map[Wanted]Terms) {
	m.mu.Lock()
	m.terms = terms
	for _, t := range m.tries {
		if t.state == StateFailed && t.quarantined && terms[t.wanted].Attempt > t.attempt {
			t.retryAt = time.Time{}
		}
	}
	m.mu.Unlock()
	signal(m.wake)
}

func (m *Manager) termsOf(w Wanted) Terms {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.terms[w]
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is signalled already
	}
}

// Run loads and unloads until the context ends, then drains and closes
// everything and returns nil. That waits for the last Release, however long it
// takes: stop the requests first. Run is called once.
func (m *Manager) Run(ctx context.Context) error {
	var work, notifier sync.WaitGroup
	stopped := make(chan struct{})
	notifier.Go(func() { m.notify(stopped) })
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	stop := ctx.Done()
	// Tries are cancelled one by one, by the plan, and not by the context.
	background := context.WithoutCancel(ctx)
	for {
		next, idle := m.step(background, ctx.Err() != nil, &work)
		if idle {
			break
		}
		if next.IsZero() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(max(0, time.Until(next)))
		}
		select {
		case <-stop:
			stop = nil
		case <-m.wake:
		case <-timer.C:
		}
	}
	work.Wait()
	close(stopped)
	notifier.Wait()
	return nil
}

// notify calls OnChange after changes, and for the last one before it ends.
func (m *Manager) notify(stopped <-chan struct{}) {
	for {
		select {
		case <-m.changed:
			m.options.OnChange()
		case <-stopped:
			select {
			case <-m.changed:
				m.options.OnChange()
			default:
			}
			return
		}
	}
}
