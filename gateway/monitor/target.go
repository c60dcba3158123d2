package monitor

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/runtime"
)

// Target is one version that is watched, as the data path sees it. It outlives
// routing tables: as long as the artifact and the features looked at are the
// same, its windows go on.
type Target struct {
	version  Version
	model    string
	key      string
	features []string
	exclude  []string
	inbox    *inbox

	// threshold is the part of the requests that are taken, of 1<<64; left how
	// many more may be before the shares are dealt out again.
	threshold atomic.Uint64
	left      atomic.Int64
	// dropped counts samples that found no room, large those with a row too
	// large to look at, unfit those that are not as the profile says.
	dropped, large, unfit atomic.Uint64

	// exported reports that the document, or the last one that had the version,
	// wants its counts exported.
	exported atomic.Bool

	mu sync.Mutex
	// loaded reports that the profile was looked for, off why the version is not
	// compared, empty where it is.
	loaded, stopped bool
	off             string
	notes           []string
	profile         *drift.Profile
	// fresh counts since it was taken last, total since the target began; spare
	// is empty.
	fresh, total, spare *drift.Window
	// guest counts the same samples in the bins of another version's profile,
	// that of a rollout's other arm; nil where nobody asks for that.
	guest *drift.Window
	// cost is what one sample takes to count where nothing else is in the way.
	cost time.Duration

	// answers is what was answered when shares were dealt out last. It belongs to
	// the goroutine that does so.
	answers uint64
}

func newTarget(model Model, v Version, key string, in *inbox) *Target {
	return &Target{version: v, model: model.Name, key: key, features: model.Drift.Features, exclude: model.Drift.Exclude, inbox: in, answers: v.Answers()}
}

// Wants draws whether a request is to be offered. It costs a load and a random
// number.
func (t *Target) Wants() bool { return rand.Uint64() < t.threshold.Load() }

// Offer copies one row of a request and its answer, drawn at random, and leaves
// it to be counted. The first dimension counts rows where rows is over 0. Unit
// is the hash of the caller, 0 where callers are not told apart. It never
// waits, and keeps nothing of the request.
func (t *Target) Offer(inputs, outputs []runtime.Tensor, rows int64, unit uint64) {
	if t.left.Add(-1) < 0 {
		return
	}
	row := int64(0)
	if rows > 1 {
		row = rand.Int64N(rows)
	}
	s := &sample{of: t, unit: unit, inputs: viewRow(inputs, row, rows), outputs: viewRow(outputs, row, rows)}
	s.size = runtime.TensorBytes(s.inputs) + runtime.TensorBytes(s.outputs)
	if s.size > maxSampleBytes {
		t.large.Add(1)
		return
	}
	if !t.inbox.put(s) {
		t.dropped.Add(1)
	}
}

// stop ends the sampling for good.
func (t *Target) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.threshold.Store(0)
}

// open sets what part of the requests is taken, and how many at most.
func (t *Target) open(threshold uint64, most int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.off != "" {
		threshold = 0
	}
	t.left.Store(most)
	t.threshold.Store(threshold)
}

// errNoProfile says that an artifact has none.
var errNoProfile = errors.New("the artifact holds no drift-profile.json: make one with seguectl profile")

// load reads the profile, once: then it returns true.
func (t *Target) load(log *slog.Logger) bool {
	t.mu.Lock()
	done := t.loaded
	t.mu.Unlock()
	if done {
		return false
	}
	profile, notes, err := t.read()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loaded, t.notes = true, notes
	if err != nil {
		t.off = err.Error()
		log.Warn("drift is not watched", "model", t.model, "version", t.version.Name, "reason", t.off)
		return true
	}
	t.profile = profile
	t.fresh, t.total, t.spare = profile.NewWindow(), profile.NewWindow(), profile.NewWindow()
	log.Info("drift is watched", "model", t.model, "version", t.version.Name, "features", len(profile.Features), "reference_samples", profile.Samples, "notes", notes)
	return true
}

func (t *Target) read() (profile *drift.Profile, notes []string, err error) {
	body, err := t.version.Profile()
	if err != nil {
		return nil, nil, fmt.Errorf("drift profile: %w", err)
	}
	if len(body) == 0 {
		return nil, nil, errNoProfile
	}
	if profile, err = drift.Parse(body); err != nil {
		return nil, nil, err
	}
	if err = profile.Check(t.version.Signature, t.model, t.version.Name); err != nil {
		return nil, nil, err
	}
	return t.choose(profile)
}

// choose leaves the features out that the document does not want, and notes
// those that it names and the profile has not.
func (t *Target) choose(profile *drift.Profile) (*drift.Profile, []string, error) {
	var notes []string
	for _, name := range slices.Concat(t.features, t.exclude) {
		if !slices.ContainsFunc(profile.Features, func(f drift.Feature) bool { return f.Name == name }) {
			notes = append(notes, fmt.Sprintf("the profile has no feature %q", name))
		}
	}
	if len(t.features)+len(t.exclude) == 0 {
		return profile, notes, nil
	}
	fewer, err := profile.With(func(name string) bool {
		return (len(t.features) == 0 || slices.Contains(t.features, name)) && !slices.Contains(t.exclude, name)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s", err, strings.Join(notes, "; "))
	}
	return fewer, notes, nil
}

// add counts a sample.
func (t *Target) add(s *sample, log *slog.Logger) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh == nil {
		return
	}
	began := time.Now()
	if err := t.fresh.Add(s.inputs, s.outputs, s.unit); err != nil {
		if t.unfit.Add(1) == 1 {
			log.Warn("a request is not as the drift profile says, and is not counted", "model", t.model, "version", t.version.Name, "error", err)
		}
		return
	}
	if t.guest != nil {
		// What does not fit there is not compared with it.
		_ = t.guest.Add(s.inputs, s.outputs, s.unit)
	}
	took := time.Since(began)
	t.cost = costOf(t.cost, took)
}

// taken is what was counted since it was taken last: in the target's own bins,
// and in those of its guest, nil where it has none.
type taken struct{ own, guest *drift.Window }

// take returns what was counted since it was called last, false for nothing.
// The caller gives the windows back.
func (t *Target) take() (taken, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh == nil || t.fresh.Rows() == 0 {
		return taken{}, false
	}
	w := taken{t.fresh, t.guest}
	t.fresh, t.spare = t.spare, nil
	if t.fresh == nil {
		t.fresh = t.profile.NewWindow()
	}
	if t.guest != nil {
		t.guest = t.guest.Profile().NewWindow()
	}
	if err := t.total.Merge(w.own); err != nil {
		panic("monitor: windows of one profile do not add up: " + err.Error())
	}
	return w, true
}

// giveBack returns what take gave, to be used again.
func (t *Target) giveBack(w taken) {
	w.own.Reset()
	t.mu.Lock()
	t.spare = w.own
	t.mu.Unlock()
}

// host makes the target count in the bins of another profile too, nil ends
// that.
func (t *Target) host(profile *drift.Profile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case profile == nil:
		t.guest = nil
	case t.guest == nil || t.guest.Profile() != profile:
		t.guest = profile.NewWindow()
	}
}

// waiting is how many samples were counted and not taken yet.
func (t *Target) waiting() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh == nil {
		return 0
	}
	return t.fresh.Rows()
}

// reference is the profile that the version is compared with, nil where it is
// not compared.
func (t *Target) reference() *drift.Profile {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.profile
}

// costs is what one sample takes to count, 0 where that is not known.
func (t *Target) costs() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh == nil || t.total.Rows()+t.fresh.Rows() < enoughSamples {
		return 0
	}
	return t.cost
}
