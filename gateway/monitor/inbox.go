package monitor

import (
	"sync/atomic"

	"github.com/segue-serving/segue/runtime"
)

// inbox holds the samples that wait to be counted, of all models. It is bounded
// in number and bytes, and never makes who puts something in wait.
type inbox struct {
	pool   *runtime.Pool
	waits  chan *sample
	queued atomic.Int64 // bytes
}

func newInbox(pool *runtime.Pool) *inbox {
	return &inbox{pool: pool, waits: make(chan *sample, maxWaiting)}
}

// put copies what a sample views and leaves it to be counted. It reports
// whether there was room.
func (b *inbox) put(s *sample) bool {
	if len(b.waits) == cap(b.waits) || b.queued.Load()+s.size > maxWaitingBytes {
		return false
	}
	b.queued.Add(s.size)
	if s.own(b.pool) {
		select {
		case b.waits <- s:
			return true
		default:
		}
	}
	b.done(s)
	return false
}

// done lets go of a sample.
func (b *inbox) done(s *sample) {
	b.queued.Add(-s.size)
	s.release()
}
