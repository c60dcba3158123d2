package load

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAPollerWaitsAndReportsWithEitherClock(t *testing.T) {
	for name, timer := range map[string]bool{"its own": false, "a timer's": true} {
		p, err := newPoller()
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		if timer {
			if err := p.useTimer(); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			const nap = 5 * time.Millisecond
			// A signal may end a wait before its time, so that it is waited again.
			for left, began := nap, time.Now(); left > 0; left = nap - time.Since(began) {
				events, err := p.wait(left)
				if err != nil || (len(events) > 0 && events[0].Fd != timerKey) {
					t.Fatalf("%s clock: %v, %v", name, events, err)
				}
				if time.Since(began) > 10*time.Second {
					t.Fatalf("%s clock does not end the wait", name)
				}
			}
		}
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pair[0])
		defer unix.Close(pair[1])
		if err := p.add(pair[0], 7, false); err != nil {
			t.Fatal(err)
		}
		reported := func() (told uint32) {
			events, err := p.wait(0)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if e.Fd == 7 {
					told |= e.Events
				}
			}
			return told
		}
		if got := reported(); got != 0 {
			t.Errorf("%s clock: events %#x of a socket with nothing to read", name, got)
		}
		if _, errno := write(pair[1], []byte("x")); errno != 0 {
			t.Fatal(errno)
		}
		if got := reported(); got != unix.EPOLLIN {
			t.Errorf("%s clock: events %#x of a socket with something to read", name, got)
		}
		if got := reported(); got != 0 {
			t.Errorf("%s clock: events %#x are reported twice", name, got)
		}
		if err := p.addWritable(pair[0], 7); err != nil {
			t.Fatal(err)
		}
		if got := reported(); got&unix.EPOLLOUT == 0 {
			t.Errorf("%s clock: events %#x of a socket with room", name, got)
		}
	}
}
