package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneTimerEndsEveryCallWhoseMessageIsLateAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newArrivals()
		wait := func() *arrival {
			ctx, cancel := context.WithCancel(t.Context())
			a := &arrival{Context: ctx, cancel: cancel}
			l.add(a, 5*time.Second)
			return a
		}
		first, second := wait(), wait()
		time.Sleep(3 * time.Second)
		third := wait()
		l.remove(first)
		l.remove(first)
		check := func(after string, late ...bool) {
			t.Helper()
			synctest.Wait()
			for i, a := range []*arrival{first, second, third} {
				if a.late.Load() != late[i] || (a.Err() != nil) != late[i] {
					t.Errorf("%s: call %d: late %v, %v", after, i+1, a.late.Load(), a.Err())
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
		if !again.late.Load() {
			t.Error("a call behind an idle time is never ended")
		}
		l.remove(again)
	})
}
