package monitor

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/runtime"
)

// Options are all that a Monitor is made of.
type Options struct {
	// Store takes counts and reports, Locker chooses the gateway that judges.
	Store  configs.Store
	Locker configs.Locker
	// StateDir keeps what was counted in the last week over restarts; empty
	// keeps it in memory.
	StateDir string
	// Instance is the name under which the gateway is seen, Epoch this life of
	// it, a good name by configs.CheckName.
	Instance, Epoch string
	// Egress says whom alarms may be sent to; nil is nobody.
	Egress Egress
	Log    *slog.Logger
	// News is told that there is something else to show; nil is nobody. It never
	// blocks.
	News func()
	// Now is the clock.
	Now func() time.Time
	// Wrote counts a write to the store; the kind is drift, the outcome ok,
	// conflict or error.
	Wrote func(kind, outcome string)
}

// Model is a model that is watched, as its document in force says.
type Model struct {
	Name string
	// Drift is the document's block with its defaults.
	Drift *configs.Drift
	// Versions are those in memory, Named all that the document has.
	Versions []Version
	Named    []string
	// Stable and Canary are the arms of a rollout that is in a step; empty
	// otherwise.
	Stable, Canary string
}

// Version is one version in memory.
type Version struct {
	Name, Digest string
	Signature    *runtime.Signature
	// Profile reads the reference profile of the artifact; it returns nothing
	// where there is none. It may be called until the version is followed no
	// more, and once after.
	Profile func() ([]byte, error)
	// Answers is how many requests the version has answered so far.
	Answers func() uint64
}

// Monitor watches the models of one gateway.
type Monitor struct {
	opts  Options
	inbox *inbox
	// mu guards models, which is replaced and never changed.
	mu     sync.Mutex
	models map[string]*watch
	// shown are the newest reports by model, for status and metrics, replaced and
	// never changed.
	shown map[string]*shown
	// kept are the targets whose counters are exported, by model and version.
	kept  map[[2]string]*Target
	hooks *hooks
}

// watch is one model that is followed.
type watch struct {
	Model
	targets map[string]*Target
}

// New makes a monitor that follows nothing and runs nothing yet.
func New(opts Options) *Monitor {
	if opts.News == nil {
		opts.News = func() {}
	}
	m := &Monitor{opts: opts, inbox: newInbox(runtime.NewPool()), models: map[string]*watch{}, shown: map[string]*shown{}, kept: map[[2]string]*Target{}}
	m.hooks = newHooks(opts)
	return m
}

// Follow says which models are watched from now on. Targets of versions whose
// artifact and features are the same as before go on as they are.
func (m *Monitor) Follow(models []Model) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := make(map[string]*watch, len(models))
	for _, model := range models {
		w := &watch{Model: model, targets: make(map[string]*Target, len(model.Versions))}
		for _, v := range model.Versions {
			key := targetKey(model.Drift, v)
			if old := m.models[model.Name]; old != nil && old.targets[v.Name] != nil && old.targets[v.Name].key == key {
				w.targets[v.Name] = old.targets[v.Name]
			} else {
				w.targets[v.Name] = newTarget(model, v, key, m.inbox)
				m.kept[[2]string{model.Name, v.Name}] = w.targets[v.Name]
			}
			w.targets[v.Name].exported.Store(model.Drift.ExportBins)
		}
		next[model.Name] = w
	}
	for name, old := range m.models {
		for version, t := range old.targets {
			if now := next[name]; now == nil || now.targets[version] != t {
				t.stop()
			}
		}
	}
	m.models = next
}

// targetKey tells targets apart whose counts do not add up.
func targetKey(d *configs.Drift, v Version) string {
	return strings.Join(slices.Concat([]string{v.Digest, "features"}, slices.Sorted(slices.Values(d.Features)), []string{"without"},
		slices.Sorted(slices.Values(d.Exclude))), "\x00")
}

// Target is what a version is watched by, nil where it is not.
func (m *Monitor) Target(model, version string) *Target {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.models[model]; w != nil {
		return w.targets[version]
	}
	return nil
}

// Forget lets go of a version's series. It is called once they need not be
// exported any more.
func (m *Monitor) Forget(model, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.models[model]; w == nil || w.targets[version] == nil {
		delete(m.kept, [2]string{model, version})
	}
}

// watched are the models that are followed, in order.
func (m *Monitor) watched() []*watch {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Collect(maps.Values(m.models))
	slices.SortFunc(all, func(a, b *watch) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Run counts, writes, judges and tells until ctx ends. It returns when all that
// it began has ended, what was counted of the last week on disk.
func (m *Monitor) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, work := range []func(context.Context){m.count, m.dealShares, newBooks(m).run, newJudge(m).run, m.hooks.run} {
		wg.Go(func() { work(ctx) })
	}
	wg.Wait()
	return nil
}

// count counts what lies in the inbox until ctx ends.
func (m *Monitor) count(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-m.inbox.waits:
			s.of.add(s, m.opts.Log)
			m.inbox.done(s)
		}
	}
}

// dealShares reads new profiles and deals shares out until ctx ends.
func (m *Monitor) dealShares(ctx context.Context) {
	tick := time.NewTicker(dealEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		for _, w := range m.watched() {
			for _, t := range w.targets {
				if t.load(m.opts.Log) {
					m.opts.News()
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			m.deal(now.Sub(last))
			last = now
		}
	}
}
