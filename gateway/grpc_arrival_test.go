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
			l.add(&c.arrival, &c.endable, &grpcConn{}, time.Now(), 5*time.Second, slowestBody)
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
		l.add(&again.arrival, &again.endable, &grpcConn{}, time.Now(), 5*time.Second, slowestBody)
		if l.remove(&again.arrival) {
			t.Error("a call is late that came at once")
		}
		time.Sleep(5 * time.Second) // the timer's goroutine ends
	})
}

func TestTheTimeForAMessageMovesWithWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newArrivals()
		conns := []*grpcConn{{}, {}, {}, {}}
		// What came before a call is nothing that came for it.
		conns[0].came.Store(100 * slowestBody)
		type call struct {
			arrival
			endable
			took time.Duration
		}
		calls := make([]call, len(conns))
		began := time.Now()
		for i, conn := range conns {
			c := &calls[i]
			l.add(&c.arrival, &c.endable, conn, began, 5*time.Second, 8*slowestBody)
		}
		for range 2000 {
			time.Sleep(10 * time.Millisecond)
			conns[1].came.Add(1)                 // a dribble
			conns[2].came.Add(slowestBody / 200) // half as fast as a body has to come
			conns[3].came.Add(slowestBody / 20)  // more than the largest body has
			for i := range calls {
				if c := &calls[i]; c.took == 0 && c.ended.Load() != nil {
					c.took = time.Since(began)
				}
			}
		}
		for i, want := range []time.Duration{5 * time.Second, 5 * time.Second, 10 * time.Second, 13 * time.Second} {
			if took := calls[i].took; took < want || took > want+2*lookAgain+10*time.Millisecond {
				t.Errorf("call %d ends after %v, want %v", i, took, want)
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.timer != nil {
			t.Error("a timer is set though nothing is waited for")
		}
	})
}
