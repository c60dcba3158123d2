package gateway

import (
	"net"
	"time"
)

// slowestBody is the rate at which a request must come, in bytes a second, once
// Timeouts.Read has passed.
const slowestBody = 1 << 20

// deadline is when waiting in one direction of a connection must end. Telling
// the network poller takes clocks, a lock and a timer, three times a request, and
// costs more than parsing a request's head. So a deadline that only moves further away is not told: the
// poller wakes the connection at the one it knows, which looks at the clock,
// sets the one that is wanted and goes on. A connection with many short requests
// sets its deadline once in Timeouts.Idle.
type deadline struct {
	// wanted is when to end. Zero says that the time is to be taken from the
	// next wait on: most requests come with one read and never wait.
	wanted time.Time
	// armed is what the poller knows.
	armed time.Time
	// exact is set where the poller has to be told at once, because the
	// connection's own state breaks when a wait ends too soon, as in TLS.
	exact bool
}

// begin is called before a wait that may take so long where nothing else was
// said. It reports whether the poller must be told of d.armed.
func (d *deadline) begin(usual time.Duration) bool {
	if d.wanted.IsZero() {
		d.wanted = time.Now().Add(usual)
	}
	if !d.armed.IsZero() && !d.wanted.Before(d.armed) && (!d.exact || d.wanted.Equal(d.armed)) {
		return false
	}
	d.armed = d.wanted
	return true
}

// early reports whether a wait ended by the poller's deadline ended before the
// wanted one, and has to be begun again.
func (d *deadline) early(err error) bool {
	if err == nil || !d.armed.Before(d.wanted) || !isTimeout(err) || !time.Now().Before(d.wanted) {
		return false
	}
	d.armed = time.Time{}
	return true
}

// came gives more time for what follows n bytes: a large body gets as much as it
// needs, and one of which nothing comes, no more for the length that was claimed.
func (d *deadline) came(n int) {
	d.wanted = d.wanted.Add(time.Duration(n) * time.Second / slowestBody)
}

// endsOnlyOnce reports whether a connection cannot go on behind a deadline
// that passed. What the kernel writes to can.
func endsOnlyOnce(c net.Conn) bool {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
		return false
	}
	return true
}

// Read reads until the deadline of the current wait, past what is left of a
// body that nobody wanted.
func (c *conn) Read(p []byte) (n int, err error) {
	if c.withheld {
		return 0, errWithheld
	}
	for {
		if c.reading.begin(c.timeouts.Read) {
			if err := c.Conn.SetReadDeadline(c.reading.armed); err != nil {
				return 0, err
			}
		}
		if c.leftover > 0 {
			err = c.readPast()
		}
		if err == nil {
			n, err = c.Conn.Read(p)
			c.reading.came(n)
		}
		if n > 0 || !c.reading.early(err) {
			return n, err
		}
		err = nil
	}
}

// Write writes all of p until the deadline of the current answer.
func (c *conn) Write(p []byte) (int, error) {
	for written := 0; ; {
		if c.writing.begin(c.timeouts.Write) {
			if err := c.Conn.SetWriteDeadline(c.writing.armed); err != nil {
				return written, err
			}
		}
		n, err := c.Conn.Write(p[written:])
		if written += n; !c.writing.early(err) {
			return written, err
		}
	}
}

// SetReadDeadline gives the current request so long.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.reading.wanted = t
	return nil
}
