package batch

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"
	"time"

	"github.com/segue-serving/segue/runtime"
)

var (
	// ErrQueueFull says that a call was shed because its instance's queue was
	// at its limit. The model was not run.
	ErrQueueFull = errors.New("queue is full")
	// ErrDeadline says that a call missed its deadline, or could not meet it
	// any more, before it was run. It does not count against the model.
	ErrDeadline = errors.New("deadline missed in the queue")
	// ErrStopped says that a run was ended because its deadline passed. It
	// counts as the model's time-out.
	ErrStopped = errors.New("deadline passed during the run")
	// ErrNoTime says that a run was not begun though a place was free, since its
	// deadline left less than half of what the fastest run takes. It counts as
	// what would have come of it, the model's time-out.
	ErrNoTime = errors.New("deadline leaves no time for a run")
	// ErrPanic says that a session panicked; the text says with what. It is an
	// error of the model.
	ErrPanic = errors.New("panic in the model's run")
)

// Options say how an Executor is made. The zero value is ready for use.
type Options struct {
	// Permits is how many short runs, made in their callers' goroutines, may be
	// under way at once, and how many workers there are for long ones. 0 is
	// GOMAXPROCS as it stands at New, which follows the CPU limit of the cgroup
	// unless it was set; who raises GOMAXPROCS above the cores sets Permits.
	Permits int
	// OnWorkers, if set, is told how many workers there are, whenever some were
	// started: each means a thread that computes beside those that Go counts on.
	OnWorkers func(workers int)
}

// devicePlaces is how many runs are given to a device at once: while it
// computes one, the inputs of the next are on their way.
const devicePlaces = 2

// Executor shares places for runs among instances. It is safe for concurrent
// use.
type Executor struct {
	// short is for runs in their callers' goroutines, long for workers.
	short, long *lane
	onWorkers   func(int)
	// memory is for the inputs of Warm and of batches, and kept because a Pool
	// that is dropped keeps its idle blocks mapped.
	memory *runtime.Pool

	mu      sync.Mutex
	devices map[string]*lane
	staffed map[*lane]bool
	crew    []*worker
	workers sync.WaitGroup
}

// Stats is what an Executor is at, for metrics.
type Stats struct {
	// Permits is how many runs may be under way, Busy how many are. Workers
	// count once they were started.
	Permits, Busy int
	// Queued is how many calls of all instances wait for a run.
	Queued int
}

// New returns an executor. It panics on a negative number of permits.
func New(options Options) *Executor {
	n := options.Permits
	if n == 0 {
		n = goruntime.GOMAXPROCS(0)
	}
	if n < 0 {
		panic(fmt.Sprintf("batch: %d permits", n))
	}
	short, long := newLane(n), newLane(n)
	long.beside = short
	return &Executor{short: short, long: long, onWorkers: options.OnWorkers, memory: runtime.NewPool(),
		devices: map[string]*lane{}, staffed: map[*lane]bool{}}
}

// Stats returns the present numbers, which need not be of one instant.
func (e *Executor) Stats() Stats {
	e.mu.Lock()
	lanes := []*lane{e.short}
	for l := range e.staffed {
		lanes = append(lanes, l)
	}
	if !e.staffed[e.long] && e.long.free.Load() != int64(e.long.places) {
		lanes = append(lanes, e.long) // a model is being warmed
	}
	e.mu.Unlock()
	var s Stats
	for _, l := range lanes {
		busy, queued := l.use()
		s.Permits, s.Busy, s.Queued = s.Permits+l.places, s.Busy+busy, s.Queued+queued
	}
	return s
}

// laneOf returns the lane of long runs on a device.
func (e *Executor) laneOf(device string) *lane {
	if device == "" || device == "cpu" {
		return e.long
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.devices[device] == nil {
		e.devices[device] = newLane(devicePlaces)
	}
	return e.devices[device]
}

// InstanceOptions say how one model is run.
type InstanceOptions struct {
	// Name and Version are the model's, for errors.
	Name, Version string
	// Device is where the sessions run, as in runtime.Options.
	Device string
	// QueueLimit is how many calls may wait; 0 is DefaultQueueLimit, a
	// negative one lets none wait.
	QueueLimit int
	// MaxBatch is the largest number of rows that may share a run; 0 counts as
	// 1. Warm measures up to it.
	MaxBatch int
	// MaxQueueDelay is how long the first call of a batch waits for others
	// while nothing else runs. 0 never waits: a batch is what came while the
	// workers were busy.
	MaxQueueDelay time.Duration
	// Sessions are further sessions of the same model. Runs take turns.
	Sessions []runtime.Session
}

// DefaultQueueLimit is how many calls of an instance may wait unless said
// otherwise.
const DefaultQueueLimit = 256

// Instance puts a session, or all of one model, under the executor. The
// sessions become the instance's to close.
func (e *Executor) Instance(session runtime.Session, options InstanceOptions) *Instance {
	options.MaxBatch = max(1, options.MaxBatch)
	switch {
	case options.QueueLimit == 0:
		options.QueueLimit = DefaultQueueLimit
	case options.QueueLimit < 0:
		options.QueueLimit = 0
	}
	i := &Instance{executor: e, sessions: append([]runtime.Session{session}, options.Sessions...), options: options}
	i.way.Store(&way{lane: e.short, line: &line{limit: options.QueueLimit, maxRows: 1}})
	return i
}
