package rollout

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Observation is what became of one request, or what came back about it later.
// It is recorded for the first randomised attempt that was really run, in the
// arm that it was assigned to; nothing else counts: no fallback, no request that
// named its version or was diverted, no retry, none that was shed.
type Observation struct {
	// Step is the step in which the request was assigned.
	Step int
	// Canary says which arm it was assigned to.
	Canary bool
	// Unit is the caller's Unit where traffic is sticky, else 0.
	Unit uint64
	// Judged are the guards that this observation is for. Every request that
	// was run is judged by Errors, whether or not that guard is on. Feedback
	// and Shadow come as observations of their own.
	Judged Guards
	// Bad are those of Judged for which it was a bad event; for Shadow, that the
	// canary answered otherwise. Classes has none.
	Bad Guards
	// Class is the predicted class if Classes is in Judged: 0 to 63, anything
	// else counts as other.
	Class int
}

// Recorder counts what happens on one gateway in the step that it is at. Its
// methods are safe for concurrent use. A good request without a caller costs an
// atomic addition or two; only callers, and bad ones among them, take a lock.
type Recorder struct {
	rollout, writer string
	counts          atomic.Pointer[stepCounts]

	mu      sync.Mutex
	seq     uint64
	sample  [2]units
	bad     [ratioGuards]units
	copies  units
	quality [2]Mean

	runMu     sync.Mutex
	runs      sketch
	reference atomic.Pointer[float64]
}

// stepCounts are the counts of one step. They are thrown away with it, so that
// an observation that comes late lands in none.
type stepCounts struct {
	step   int
	arms   [2]atomicCounts
	shadow [2]atomic.Uint64
}

type atomicCounts struct {
	judged [masks]atomic.Uint64
	bad    [ratioGuards]atomic.Uint64
	class  [classes]atomic.Uint64
	_      [64]byte // the arms share no cache line
}

// NewRecorder returns a recorder for the rollout. writer names this life of this
// gateway: no other process, and no later one under the same name, uses it.
// Nothing counts before Begin.
func NewRecorder(rollout, writer string) *Recorder {
	r := &Recorder{rollout: rollout, writer: writer}
	r.sample[0].capacity, r.sample[1].capacity = stableSample, canarySample
	r.copies.capacity = shadowUnits
	for i := range r.bad {
		r.bad[i].capacity = badUnits
	}
	r.counts.Store(&stepCounts{step: ShadowStep - 1})
	return r
}

// Begin enters a step, once: requests are counted from nothing, callers are
// remembered. reference is the run time in seconds over which a run is slow,
// Total.SlowReference at this moment, or 0 while that is not known.
func (r *Recorder) Begin(step int, reference float64) {
	r.runMu.Lock()
	r.runs = sketch{}
	r.reference.Store(nil)
	r.runMu.Unlock()
	r.counts.Store(&stepCounts{step: step})
	if reference > 0 {
		r.SetReference(reference)
	}
}

// SetReference sets the run time over which a run is slow for the rest of the
// step. The first one stays: a threshold that followed the data would make
// guards see what is not there.
func (r *Recorder) SetReference(seconds float64) {
	r.reference.CompareAndSwap(nil, &seconds)
}

// Reference is the run time over which a run is slow, and whether it is known.
func (r *Recorder) Reference() (seconds float64, known bool) {
	if p := r.reference.Load(); p != nil {
		return *p, true
	}
	return 0, false
}

// Run takes note of a run time and says whether the slow guard can judge it,
// and whether it was slow. Of stable's it keeps a histogram; where another
// request is just at that it goes uncounted, which is no matter of its length.
func (r *Recorder) Run(canary bool, seconds float64) (judged, slow bool) {
	if !canary && r.runMu.TryLock() {
		r.runs.add(seconds)
		r.runMu.Unlock()
	}
	limit, known := r.Reference()
	return known, known && seconds > limit
}

// Record counts an observation. One of another step than the recorder's is
// dropped.
func (r *Recorder) Record(o Observation) {
	c := r.counts.Load()
	if o.Step != c.step || o.Judged == 0 {
		return
	}
	o.Bad &= o.Judged
	if o.Unit != 0 {
		r.recordUnit(o)
		return
	}
	if o.Judged.Has(Shadow) {
		c.shadow[arm(o.Bad.Has(Shadow))].Add(1)
	}
	a := &c.arms[arm(o.Canary)]
	if mask := o.Judged.ratios(); mask != 0 {
		a.judged[mask].Add(1)
	}
	if o.Judged.Has(Classes) {
		a.class[classOf(o.Class)].Add(1)
	}
	for g := Errors; o.Bad.ratios() != 0 && int(g) < ratioGuards; g++ {
		if o.Bad.Has(g) {
			a.bad[g].Add(1)
		}
	}
}

func (r *Recorder) recordUnit(o Observation) {
	position := o.Step + 1
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.Judged.Has(Shadow) {
		r.copies.add(newRow(o.Unit, position, false, arm(o.Bad.Has(Shadow)), 0))
	}
	class := silent
	if o.Judged.Has(Classes) {
		class = classOf(o.Class)
	}
	if o.Judged.ratios() != 0 || class != silent {
		r.sample[arm(o.Canary)].add(newRow(o.Unit, position, o.Canary, class, o.Judged))
	}
	for g := range r.bad {
		if o.Bad.Has(Guard(g)) {
			r.bad[g].add(newRow(o.Unit, position, o.Canary, silent, 0))
		}
	}
}

func classOf(class int) int {
	if class < 0 || class >= classes-1 {
		return classes - 1
	}
	return class
}

// Value takes note of feedback for the estimates of quality: 1 for a right and
// 0 for a wrong label, a reward scaled to 0 to 1. It counts for the whole
// rollout, whatever the step.
func (r *Recorder) Value(canary bool, x float64) {
	r.mu.Lock()
	r.quality[arm(canary)].Add(x)
	r.mu.Unlock()
}

// Snapshot is the evidence so far, the caller's own. Each call takes the next
// sequence number, by which whoever merges tells newer from older.
func (r *Recorder) Snapshot() *Evidence {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts.Load()
	r.seq++
	e := &Evidence{Rollout: r.rollout, Writer: r.writer, Seq: r.seq, Step: c.step, quality: r.quality}
	for i := range c.arms {
		from, to := &c.arms[i], &e.requests[i]
		// Bad ones first: never more of them than were judged.
		for g := range from.bad {
			to.bad[g] = from.bad[g].Load()
		}
		for m := range from.judged {
			to.judged[m] = from.judged[m].Load()
		}
		for k := range from.class {
			to.class[k] = from.class[k].Load()
		}
	}
	for i := range c.shadow {
		e.shadow[i] = c.shadow[i].Load()
	}
	for i := range r.sample {
		e.sample[i] = r.sample[i].snapshot()
	}
	for g := range r.bad {
		e.bad[g] = r.bad[g].snapshot()
	}
	e.copies = r.copies.snapshot()
	r.runMu.Lock()
	e.runs = r.runs.bins()
	r.runMu.Unlock()
	return e
}

// sortedValues are a map's values in the order of its keys.
func sortedValues[V any](m map[string]V) []V {
	values := make([]V, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		values = append(values, m[key])
	}
	return values
}
