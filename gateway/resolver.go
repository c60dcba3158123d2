package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader/store"
)

// registriesLock is that of the gateway which asks registries for the fleet.
const registriesLock = "registries"

const (
	// askTime is how long a registry may take for its answer.
	askTime = time.Minute
	// asksAtOnce bounds how many are asked at once.
	asksAtOnce = 8
)

// resolver asks registries what documents that follow them want to know, and
// writes what they have for all gateways to follow. It asks only while it holds
// the fleet's lock, and only about models that follow one.
type resolver struct {
	store   configs.Store
	locker  configs.Locker
	ask     func(ctx context.Context, f configs.Follow) (*configs.Resolution, error)
	log     *slog.Logger
	metrics *Metrics
	audit   *auditor
	who     string
	now     func() time.Time
	news    func() // told that a problem came or went

	changed chan struct{} // wanted is another

	mu       sync.Mutex
	wanted   map[string]configs.Follow
	problems map[string]string
}

func newResolver(opts Options, m *Metrics, audit *auditor, news func()) *resolver {
	return &resolver{store: opts.Store, locker: opts.Locker, ask: opts.Resolve, log: opts.Log, metrics: m, audit: audit,
		who: gatewayName(opts.Instance), now: opts.Now, news: news, changed: make(chan struct{}, 1), problems: map[string]string{}}
}

// follow says what is to be asked for from now on. It never blocks.
func (v *resolver) follow(wanted map[string]configs.Follow) {
	v.mu.Lock()
	same := reflect.DeepEqual(v.wanted, wanted) || len(v.wanted)+len(wanted) == 0
	v.wanted = wanted
	maps.DeleteFunc(v.problems, func(model, _ string) bool { _, still := wanted[model]; return !still })
	v.mu.Unlock()
	if same {
		return
	}
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

func (v *resolver) following() map[string]configs.Follow {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.wanted)
}

// problem is why a registry could not be asked by this gateway the last time,
// empty where it could or another gateway asks.
func (v *resolver) problem(model string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.problems[model]
}

// run works until ctx ends. Without a way to ask it only says so.
func (v *resolver) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if len(v.following()) == 0 {
			select {
			case <-ctx.Done():
			case <-v.changed:
			}
			continue
		}
		if err := v.locker.Hold(ctx, registriesLock, v.work); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// work asks again and again until ctx ends or there is nothing to ask for.
func (v *resolver) work(ctx context.Context) error {
	v.log.Info("asking registries for the fleet")
	type turn struct {
		follow configs.Follow
		next   time.Time
	}
	turns := map[string]*turn{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			v.forgetProblems()
			return nil
		case <-v.changed:
		case <-timer.C:
		}
		wanted := v.following()
		if len(wanted) == 0 {
			return nil
		}
		maps.DeleteFunc(turns, func(model string, _ *turn) bool { _, still := wanted[model]; return !still })
		slots := make(chan struct{}, asksAtOnce)
		var asking sync.WaitGroup
		for model, f := range wanted {
			t := turns[model]
			if t == nil || !reflect.DeepEqual(t.follow, f) {
				t = &turn{follow: f}
				turns[model] = t
			}
			if v.now().Before(t.next) {
				continue
			}
			slots <- struct{}{}
			asking.Go(func() {
				defer func() { <-slots }()
				wait := v.resolve(ctx, model, f)
				t.next = v.now().Add(max(wait, spread(f.Every())))
			})
		}
		asking.Wait()
		next := v.now().Add(time.Hour)
		for _, t := range turns {
			if t.next.Before(next) {
				next = t.next
			}
		}
		timer.Reset(max(time.Millisecond, next.Sub(v.now())))
	}
}

// spread is a span within a fifth of another.
func spread(every time.Duration) time.Duration {
	return every*4/5 + rand.N(every*2/5+1)
}

// resolve asks for one model, writes what is new, and returns how long the
// registry wants to be left alone.
func (v *resolver) resolve(ctx context.Context, model string, f configs.Follow) (wait time.Duration) {
	err := v.askAndWrite(ctx, model, f)
	if ctx.Err() != nil {
		return 0
	}
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	v.mu.Lock()
	before := v.problems[model]
	v.problems[model] = problem
	v.mu.Unlock()
	if problem == before {
		return store.WaitOf(err)
	}
	if err != nil {
		v.log.Warn("registry cannot be followed; what was found last stands", "model", model, "from", f.From, "error", err)
	} else {
		v.log.Info("registry is followed", "model", model, "from", f.From)
	}
	v.news()
	return store.WaitOf(err)
}

// askAndWrite writes by check-and-set over what stands there now, so that of two
// gateways that both believe to hold the lock one is refused.
func (v *resolver) askAndWrite(ctx context.Context, model string, f configs.Follow) error {
	if v.ask == nil {
		return errors.New("this gateway knows no registry")
	}
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	found, err := v.ask(asking, f)
	if err != nil {
		return err
	}
	key := configs.ResolvedKey(model)
	item, there, err := v.store.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("what was found last: %w", err)
	}
	// What cannot be read is written over.
	before, _ := configs.ParseResolution(configs.Entry{Value: item.Value})
	if found.Same(before) {
		return nil
	}
	found.By, found.At = v.who, v.now().UTC()
	value := configs.CanonicalResolution(found)
	index, err := v.store.Apply(ctx, configs.Write{Key: key, Value: value, Index: item.Index})
	switch {
	case errors.Is(err, configs.ErrConflict):
		v.metrics.StoreWrite("resolved", "conflict")
		return nil // the next turn sees what the other gateway found
	case err != nil:
		v.metrics.StoreWrite("resolved", "error")
		return err
	}
	v.metrics.StoreWrite("resolved", "ok")
	if !before.Answers(&f) {
		before = nil
	}
	changes := found.Changes(before)
	v.log.Info("registry has changed", "model", model, "from", f.From, "changes", changes, "index", index)
	old := item.Value
	if !there {
		old = nil
	}
	v.audit.resolved(model, index, old, value, changes+", in "+f.From, v.who, found.At)
	return nil
}

// forgetProblems leaves it to the next holder of the lock to say them.
func (v *resolver) forgetProblems() {
	v.mu.Lock()
	clear(v.problems)
	v.mu.Unlock()
	v.news()
}
