package load

import (
	"fmt"
	"time"
)

// eventLoop is one thread's connections. It is used by one goroutine.
type eventLoop struct {
	*route
	poller      *poller
	connections []*connection
	ticked      time.Time
}

// newEventLoop returns a loop of n connections, none of them open.
func (r *route) newEventLoop(n int) (*eventLoop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &eventLoop{route: r, poller: p, connections: make([]*connection, n), ticked: time.Now()}
	for i := range l.connections {
		l.connections[i] = &connection{loop: l, key: int32(i), wire: r.newWire(), fd: -1}
	}
	return l, nil
}

// longestNap is how soon a cancelled run, and an answer that is late, is
// noticed.
const longestNap = 20 * time.Millisecond

// await waits at most for d until something comes, and calls ended for each
// request that has ended: with when, and what is wrong with it.
func (l *eventLoop) await(d time.Duration, ended func(c *connection, at time.Time, err error)) error {
	events, err := l.poller.wait(min(d, longestNap))
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Fd == timerKey {
			continue
		}
		c := l.connections[e.Fd]
		if over, at, err := c.ready(e.Events); over {
			ended(c, at, err)
		}
	}
	l.tick(ended)
	return nil
}

// tick ends requests that have no answer in time. It looks once in a while:
// nothing is measured by it.
func (l *eventLoop) tick(ended func(c *connection, at time.Time, err error)) {
	now := time.Now()
	if now.Sub(l.ticked) < longestNap {
		return
	}
	l.ticked = now
	for _, c := range l.connections {
		if c.busy && now.After(c.deadline) {
			_, at, err := c.fail(fmt.Errorf("none within %s", l.target.Timeout))
			ended(c, at, err)
		}
	}
}

// close ends all connections. Requests that are under way are not heard of
// again.
func (l *eventLoop) close() {
	for _, c := range l.connections {
		c.close()
	}
	l.poller.close()
}
