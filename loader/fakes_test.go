package loader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/runtime"
)

// script says how the tries of one version go; the zero value goes well at
// once. Every step can take time, and ends early with its context.
type script struct {
	dir                       string // the artifact; "" is that of the version's number
	fetch, probe, open, warm  error
	refused                   probe.Report // what the probe says, if it says something
	signature                 *runtime.Signature
	fetchTime, probeTime      time.Duration
	openTime, warmTime        time.Duration
	cost                      Cost // what the probe measures
	closeErr                  error
	deaf                      bool // does not end early with its context
	probeWarnings, warmNotice []string
}

// world is all that a Manager needs, made of fakes, with a record of what was
// done. Version numbers are looked up in scripts.
type world struct {
	t       testing.TB
	manager *Manager

	mu        sync.Mutex
	scripts   map[string]*script
	tries     map[string]int // fetches begun
	fetched   int            // artifacts held from the store
	instances []*instance
	faults    []string
	changes   int
	probed    []probe.Request
	holding   []*Resident // by the random test, oldest first; not guarded
	limit     int64       // of memory, 0 for none
}

func newWorld(t testing.TB, options Options) *world {
	w := &world{t: t, scripts: make(map[string]*script), tries: make(map[string]int)}
	options.Stores, options.Probe, options.Open = w, w.probe, w.open
	options.Memory = w.memory
	options.OnChange = func() {
		w.mu.Lock()
		w.changes++
		w.mu.Unlock()
		w.manager.Statuses() // must not deadlock
	}
	w.manager = New(options)
	return w
}

// simulate runs f in simulated time with a running Manager, ends that, and
// holds it to have left nothing behind. After every call of settle the world
// stands still.
func simulate(t *testing.T, options Options, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, options)
		end := w.run()
		f(w)
		end()
		for _, fault := range w.left() {
			t.Error(fault)
		}
	})
}

// run starts the Manager; the function returned ends it.
func (w *world) run() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.manager.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
}

// left returns what is wrong after the Manager ended.
func (w *world) left() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	faults := w.faults
	for _, i := range w.instances {
		if i.closed != 1 {
			faults = append(faults, fmt.Sprintf("an instance of %s was closed %d times", i.wanted, i.closed))
		}
	}
	if w.fetched != 0 {
		faults = append(faults, fmt.Sprintf("%d artifacts were not given back to the store", w.fetched))
	}
	return faults
}

func (w *world) settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) want(all ...Wanted) {
	w.manager.SetWanted(all)
	synctest.Wait()
}

// announced returns how often OnChange was called.
func (w *world) announced() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes
}

func (w *world) script(version string) *script {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.scripts[version]; s != nil {
		return s
	}
	return &script{}
}

func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// pass spends a step's time and returns its error or the context's.
func pass(ctx context.Context, d time.Duration, deaf bool, err error) error {
	if deaf {
		time.Sleep(d)
		return err
	}
	select {
	case <-time.After(d):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Fetch is that of a store whose references are "fake:" and a version.
func (w *world) Fetch(ctx context.Context, ref store.Ref, progress store.Progress) (string, func(), error) {
	version := ref.URI[len("fake:"):]
	s := w.script(version)
	w.mu.Lock()
	w.tries[version]++
	w.mu.Unlock()
	progress(50, 100)
	if err := pass(ctx, s.fetchTime, s.deaf, s.fetch); err != nil {
		return "", nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fetched++
	var once sync.Once
	released := false
	return s.dir, func() {
		if released {
			w.fault("%s was given back to the store twice", version)
		}
		released = true
		once.Do(func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.fetched--
		})
	}, nil
}

func (w *world) probe(ctx context.Context, req probe.Request) (probe.Report, error) {
	w.mu.Lock()
	w.probed = append(w.probed, req)
	var s *script
	for _, other := range w.scripts {
		if len(req.ModelPath) > len(other.dir) && req.ModelPath[:len(other.dir)] == other.dir {
			s = other
		}
	}
	w.mu.Unlock()
	if err := pass(ctx, s.probeTime, s.deaf, s.probe); err != nil {
		return probe.Report{}, err
	}
	if s.refused.Verdict != probe.Undecided {
		return s.refused, nil
	}
	return probe.Report{Verdict: probe.Passed, Warnings: s.probeWarnings, PeakMemory: s.cost.Peak, HeldMemory: s.cost.Held}, nil
}

func (w *world) open(ctx context.Context, r OpenRequest) (Instance, error) {
	s := w.script(r.Wanted.Version)
	if err := pass(ctx, s.openTime, s.deaf, s.open); err != nil {
		return nil, err
	}
	signature := s.signature
	if signature == nil {
		signature = r.Manifest.Signature
	}
	i := &instance{world: w, wanted: r.Wanted, script: s, signature: signature, manifest: r.Manifest.Goldens != nil}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instances = append(w.instances, i)
	return i, nil
}

// instance records how it is treated.
type instance struct {
	world     *world
	wanted    Wanted
	script    *script
	signature *runtime.Signature
	manifest  bool // the open request had goldens
	held      int  // by the test, under world.mu
	warmed    int
	closed    int
}

func (i *instance) Signature() *runtime.Signature { return i.signature }

func (i *instance) Warm(ctx context.Context, maxBatch int) ([]string, error) {
	i.warmed = maxBatch
	return i.script.warmNotice, pass(ctx, i.script.warmTime, i.script.deaf, i.script.warm)
}

func (i *instance) Close() error {
	i.world.mu.Lock()
	defer i.world.mu.Unlock()
	i.closed++
	if i.held > 0 {
		i.world.faults = append(i.world.faults, fmt.Sprintf("an instance of %s was closed with %d holders", i.wanted, i.held))
	}
	return i.script.closeErr
}

// memory is what the open instances leave of the limit.
func (w *world) memory(device string) (Memory, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := Memory{Left: w.limit, Limit: w.limit}
	for _, i := range w.instances {
		if i.closed == 0 {
			m.Left -= i.script.cost.Held
		}
	}
	return m, w.limit > 0 && device == cpu
}

// limitMemory sets the limit.
func (w *world) limitMemory(bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = bytes
}

// acquire takes the Ready version, and keeps count of its holders.
func (w *world) acquire(wanted Wanted) (*Resident, error) {
	r, s := w.manager.Lookup(wanted)
	if r == nil {
		return nil, fmt.Errorf("%s is %s: %s", wanted, s.State, s.Reason)
	}
	if !r.Acquire() {
		return nil, errors.New("a ready version was not to be had")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Instance().(*instance).held++
	return r, nil
}

func (w *world) release(r *Resident) {
	w.mu.Lock()
	r.Instance().(*instance).held--
	w.mu.Unlock()
	r.Release()
}

// version packs an artifact for a version number and returns how to want it.
func (w *world) version(t testing.TB, number string, s script) Wanted {
	t.Helper()
	digest := ""
	if s.dir == "" {
		s.dir, digest = artifacttest.PackDoubler(t, number)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scripts[number] = &s
	return Wanted{Model: "mozart", Version: number, URI: "fake:" + number, Digest: digest, MaxBatch: 8}
}

func (w *world) state(wanted Wanted) State {
	_, s := w.manager.Lookup(wanted)
	return s.State
}

func (w *world) expect(wanted Wanted, state State) Status {
	w.t.Helper()
	_, s := w.manager.Lookup(wanted)
	if s.State != state {
		w.t.Fatalf("%s is %s (%s), want %s", wanted, s.State, s.Reason, state)
	}
	return s
}
