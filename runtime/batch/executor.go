package batch

import (
	"errors"
	"fmt"
	goruntime "runtime"

	"github.com/segue-serving/segue/runtime"
)

var (
	// ErrQueueFull says that a call was shed because its instance's queue was
	// at its limit. The model was not run.
	ErrQueueFull = errors.New("queue is full")
	// ErrDeadline says that a call missed its deadline, or could not meet it
	// any more, before it was run. It does not count against the model.
	ErrDeadline = errors.New("deadline missed in the queue")
	// ErrPanic says that a session panicked; the text says with what. It is an
	// error of the model.
	ErrPanic = errors.New("panic in the model's run")
)

// Options say how an Executor is made. The zero value is ready for use.
type Options struct {
	// Permits is how many runs may be under way at once. 0 is GOMAXPROCS as
	// it stands at New, which follows the CPU limit of the cgroup unless it
	// was set; who raises GOMAXPROCS above the cores sets Permits.
	Permits int
}

// Executor shares permits among instances. It is safe for concurrent use and
// needs no closing.
type Executor struct {
	permits *permits
	// memory is for the inputs of Warm, and kept because a Pool that is
	// dropped keeps its idle blocks mapped.
	memory *runtime.Pool
}

// Stats is what an Executor is at, for metrics.
type Stats struct {
	// Permits is how many runs may be under way, Busy how many are.
	Permits, Busy int
	// Queued is how many calls of all instances wait for a permit.
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
	return &Executor{permits: newPermits(n), memory: runtime.NewPool()}
}

// Stats returns the present numbers, which need not be of one instant.
func (e *Executor) Stats() Stats {
	busy, queued := e.permits.use()
	return Stats{Permits: e.permits.total, Busy: busy, Queued: queued}
}

// InstanceOptions say how one model is run.
type InstanceOptions struct {
	// Name and Version are the model's, for errors.
	Name, Version string
	// QueueLimit is how many calls may wait; 0 is DefaultQueueLimit, a
	// negative one lets none wait.
	QueueLimit int
	// MaxBatch is the largest number of rows that a run is meant for; 0
	// counts as 1. Warm measures up to it.
	MaxBatch int
}

// DefaultQueueLimit is how many calls of an instance may wait unless said
// otherwise.
const DefaultQueueLimit = 256

// Instance puts a session under the executor's permits. The session becomes
// the instance's to close.
func (e *Executor) Instance(session runtime.Session, options InstanceOptions) *Instance {
	i := &Instance{
		permits:  e.permits,
		memory:   e.memory,
		session:  session,
		name:     options.Name,
		version:  options.Version,
		maxBatch: max(1, options.MaxBatch),
	}
	switch {
	case options.QueueLimit == 0:
		i.line.limit = DefaultQueueLimit
	case options.QueueLimit > 0:
		i.line.limit = options.QueueLimit
	}
	return i
}
