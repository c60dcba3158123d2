package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"

	"github.com/segue-serving/segue/configs"
)

// keeper writes what is in force to disk, so that a restart starts from it even
// where a newer document cannot serve. It has its own goroutine: a slow disk
// must not hold the next change up. What a crash must not undo waits for it all
// the same.
type keeper struct {
	dir, source string
	log         *slog.Logger
	wake        chan struct{} // told that there is something pending

	mu      sync.Mutex
	pending *configs.Snapshot // the newest that is not written yet

	writing sync.Mutex // held over a write, so that nothing older comes after it
	failing bool       // the last write failed
}

// lastInForce names the copy of what was in force, beside that of what was
// read last.
const lastInForce = "in force: "

// heldBeside follows the model's name where that itself names what was decided
// here, and is part of no model's name.
const heldBeside = " (held)"

func newKeeper(dir, sourceID string, log *slog.Logger) *keeper {
	return &keeper{dir: dir, source: lastInForce + sourceID, log: log, wake: make(chan struct{}, 1)}
}

// keep hands over what is in force now. It never blocks.
func (k *keeper) keep(s configs.Snapshot) {
	k.mu.Lock()
	k.pending = &s
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// flush writes what is pending, and returns once that is on disk.
func (k *keeper) flush() {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	s := k.pending
	k.pending = nil
	k.mu.Unlock()
	if s != nil {
		k.write(*s)
	}
}

// run writes until ctx ends, and then what is still pending.
func (k *keeper) run(ctx context.Context) error {
	for {
		select {
		case <-k.wake:
			k.flush()
		case <-ctx.Done():
			k.flush()
			return nil
		}
	}
}

func (k *keeper) write(s configs.Snapshot) {
	if k.dir == "" {
		return
	}
	err := configs.SaveLastGood(k.dir, k.source, s)
	if err != nil && !k.failing {
		k.log.Warn("cannot keep the configuration in force on disk; it serves on from memory", "error", err)
	}
	k.failing = err != nil
}

// load returns what was in force when a process with the same folder ended.
func (k *keeper) load() (configs.Snapshot, bool, error) {
	if k.dir == "" {
		return configs.Snapshot{}, false, nil
	}
	return configs.LoadLastGood(k.dir, k.source)
}

// keepInForce sends what is in force to disk where it changed.
func (r *reconciler) keepInForce() {
	s := r.inForce()
	same := (s.Settings == nil) == (r.kept.Settings == nil) && (s.Settings == nil || sameEntry(*s.Settings, *r.kept.Settings)) &&
		maps.EqualFunc(s.Models, r.kept.Models, sameEntry) && maps.EqualFunc(s.Overrides, r.kept.Overrides, sameEntry) &&
		maps.EqualFunc(s.Resolved, r.kept.Resolved, sameEntry)
	if !same {
		r.kept = s
		r.keeper.keep(s)
	}
}

// inForce is what a restart should start from: the documents in force (those
// of the process before, while nothing is in force in this one yet), the
// settings, and the holds and rollouts' states, without which the documents
// would give other weights.
func (r *reconciler) inForce() configs.Snapshot {
	s := configs.Snapshot{Index: r.snapshot.Index, Models: map[string]configs.Entry{}, Overrides: map[string]configs.Entry{}, Resolved: map[string]configs.Entry{}}
	for name, m := range r.models {
		a := cmp.Or(m.inForce, m.lastGood)
		if a == nil {
			continue
		}
		s.Models[name] = a.entry
		if a.resolved.Value != nil {
			s.Resolved[name] = a.resolved
		}
	}
	for name, o := range r.overrides {
		switch {
		case o.local != nil:
			s.Overrides[name] = configs.Entry{Name: name, Value: configs.CanonicalOverride(o.local), Index: o.localOver, Where: decidedHere}
			if o.good != nil && o.good.Kind == configs.OverrideHold {
				s.Overrides[name+heldBeside] = o.good.entry // it may give the weights of another document
			}
		case o.good != nil && o.good.Kind != configs.OverrideDelete:
			s.Overrides[name] = o.good.entry
		}
	}
	if r.settings.inForce != nil {
		e := r.settings.entry
		s.Settings = &e
	}
	return s
}

// seed starts from what was in force when the process ended before. Its
// documents serve until those of the source can.
func (r *reconciler) seed() error {
	s, ok, err := r.keeper.load()
	if err != nil || !ok {
		return err
	}
	if s.Settings != nil {
		r.readSettings(*s.Settings)
		if awaits := r.settings.awaitsKey; awaits != nil {
			// They were in force before, and all but the key can be again.
			r.settings.inForce, r.settings.entry = awaits, *s.Settings
		}
	}
	r.readOverrides(s)
	var errs []error
	for name, e := range s.Models {
		doc, warnings, err := configs.Parse(e)
		if err != nil {
			errs = append(errs, fmt.Errorf("model %s: %w", name, err))
			continue
		}
		m := &modelState{name: name}
		r.readResolution(m, s.Resolved[name])
		full, resolved, err := r.resolve(m, doc)
		if err != nil {
			errs = append(errs, fmt.Errorf("model %s: %w", name, err))
			continue
		}
		m.lastGood = &accepted{doc: full, entry: e, warnings: warnings, resolved: resolved}
		r.models[name] = m
	}
	r.pass(r.opts.Now())
	return errors.Join(errs...)
}
