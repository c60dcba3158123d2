package gateway

import (
	"context"
	"sync"
	"time"
)

// lookEvery is the time between two looks for the clients of long runs.
const lookEvery = 20 * time.Millisecond

// leavers ends the runs whose HTTP clients leave. It is told only of runs that
// can be ended, which are long; one goroutine looks for the clients of all of
// them, and sleeps while there are none.
type leavers struct {
	mu sync.Mutex
	// runs are those under way, and what ends each.
	runs map[*httpCall]func()
	more chan struct{}
}

func newLeavers() *leavers {
	return &leavers{runs: map[*httpCall]func(){}, more: make(chan struct{}, 1)}
}

// watch has end called if the call's client leaves before stop is called. Once
// stop has returned end is not called any more.
func (l *leavers) watch(c *httpCall, end func()) (stop func()) {
	l.mu.Lock()
	l.runs[c] = end
	l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return func() {
		l.mu.Lock()
		delete(l.runs, c)
		l.mu.Unlock()
	}
}

// run looks until ctx ends.
func (l *leavers) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.more:
		}
		ticker.Reset(lookEvery)
		for left := true; left; left = l.look() {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
		ticker.Stop()
	}
}

// look ends the runs whose clients are gone, and reports whether others are
// left.
func (l *leavers) look() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c, end := range l.runs {
		// The connection is the call's as long as it is in the map.
		if hungUp(c.conn.Conn) {
			end()
			delete(l.runs, c)
		}
	}
	return len(l.runs) > 0
}
