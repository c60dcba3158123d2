package gateway

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// endable is a stream that only knows whether it was ended.
type endable struct {
	grpc.ServerTransportStream
	ended atomic.Pointer[status.Status]
}

func (e *endable) WriteStatus(s *status.Status) error {
	e.ended.Store(s)
	return nil
}

func TestOneTimerEndsEveryCallWhoseMessageIsLateAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newArrivals()
		type call struct {
			arrival
			endable
		}
		wait := func() *call {
			c := &call{}
			l.add(&c.arrival, &c.endable, time.Now(), 5*time.Second)
			return c
		}
		first, second := wait(), wait()
		time.Sleep(3 * time.Second)
		third := wait()
		for range 2 {
			if l.remove(&first.arrival) {
				t.Error("who came in time is late")
			}
		}
		check := func(after string, late ...bool) {
			t.Helper()
			synctest.Wait()
			l.mu.Lock()
			defer l.mu.Unlock()
			for i, c := range []*call{first, second, third} {
				if s := c.ended.Load(); c.late != late[i] || (s != nil) != late[i] {
					t.Errorf("%s: call %d: late %v, %v", after, i+1, c.late, s)
				}
			}
		}
		time.Sleep(2*time.Second - time.Nanosecond)
		check("just before the time is over", false, false, false)
		time.Sleep(time.Nanosecond)
		check("when it is over", false, true, false)
		time.Sleep(3 * time.Second)
		check("when it is over for the last", false, true, true)
		if l.timer != nil {
			t.Error("a timer is set though nothing is waited for")
		}
		// What comes then is waited for again.
		again := wait()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !l.remove(&again.arrival) || again.ended.Load() == nil {
			t.Error("a call behind an idle time is never ended")
		}
		// And what was late once is not so the next time.
		l.add(&again.arrival, &again.endable, time.Now(), 5*time.Second)
		if l.remove(&again.arrival) {
			t.Error("a call is late that came at once")
		}
		time.Sleep(5 * time.Second) // the timer's goroutine ends
	})
}
