package load

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// wire is one protocol on one connection, without the socket: it says what to
// write, and reads what has come. One request is under way at a time.
type wire interface {
	// open forgets the last connection: a new one begins.
	open()
	// send makes request i the next to be written.
	send(i int)
	// unsent is what is to be written now, empty where that is nothing; sent
	// tells how much of it was.
	unsent() []byte
	sent(n int)
	// space is where to read to, never empty; received tells how much was, and
	// reports whether the answer is whole. An error ends the connection.
	space() []byte
	received(n int) (done bool, err error)
	// hungUp tells that nothing more will come. Without an error that is how
	// the answer ends.
	hungUp() error
	// answer is the last one that is whole, or why a call that has ended has
	// none.
	answer() (*answer, error)
	// reusable reports whether another request may be sent after this answer.
	reusable() bool
}

// connection is one connection that is kept and opened again where it has
// ended, with one request under way.
type connection struct {
	loop *eventLoop
	// key finds it in its loop.
	key  int32
	wire wire
	// fd is its socket, -1 without one; writable says that its events tell when
	// it takes more.
	fd       int
	writable bool

	busy     bool
	request  int
	deadline time.Time
}

// begin sends request i. The request may have ended then already: see ready.
func (c *connection) begin(i int, now time.Time) (ended bool, at time.Time, err error) {
	c.busy, c.request, c.deadline = true, i, now.Add(c.loop.target.Timeout)
	if c.fd < 0 {
		if err := c.connect(); err != nil {
			return c.fail(err)
		}
	}
	c.wire.send(i)
	if err := c.flush(); err != nil {
		return c.receive(true, err)
	}
	return false, at, nil
}

func (c *connection) connect() (err error) {
	if c.fd, err = c.loop.endpoint.connect(c.loop.target.Timeout); err != nil {
		return err
	}
	// A TCP connection may be under way still. A Unix socket would report that
	// there is room after each request that was read.
	c.writable = c.loop.endpoint.domain != unix.AF_UNIX
	c.wire.open()
	return c.loop.poller.add(c.fd, c.key, c.writable)
}

// ready reads and writes what it can. ended says that the request has ended, at
// that moment, and err what is wrong with its answer.
func (c *connection) ready(events uint32) (ended bool, at time.Time, err error) {
	if c.fd < 0 {
		return false, at, nil
	}
	broken := c.flush()
	return c.receive(events&hungUp != 0 || broken != nil, broken)
}

// flush writes what there is to write and the socket takes.
func (c *connection) flush() error {
	for {
		unsent := c.wire.unsent()
		if len(unsent) == 0 {
			return nil
		}
		n, errno := write(c.fd, unsent)
		if errno != 0 && errno != unix.EAGAIN {
			return fmt.Errorf("write: %w", errno)
		}
		c.wire.sent(n)
		if n < len(unsent) {
			if c.writable {
				return nil
			}
			c.writable = true
			return c.loop.poller.addWritable(c.fd, c.key)
		}
	}
}

// receive reads what there is. Without last it stops where a read has found less
// than there was room for: an edge will tell of more. A server that answers
// before it has read a request may have ended the connection meanwhile, which
// shows as the broken write; its answer counts.
func (c *connection) receive(last bool, broken error) (ended bool, at time.Time, err error) {
	for {
		space := c.wire.space()
		n, errno := read(c.fd, space)
		if errno == unix.EAGAIN {
			if broken != nil {
				return c.fail(broken)
			}
			return false, at, nil
		}
		at = time.Now()
		done := false
		switch {
		case errno != 0:
			err = fmt.Errorf("read: %w", errno)
		case n > 0:
			done, err = c.wire.received(n)
		case c.busy:
			last = true
			err = c.wire.hungUp()
			done = err == nil
		default:
			err = io.EOF
		}
		if err == nil && !done && n < len(space) && !last {
			err = c.flush()
			if err == nil {
				return false, at, nil
			}
		}
		switch {
		case err != nil:
			if broken != nil {
				err = broken
			}
			return c.fail(err)
		case done:
			return c.finish(last, at)
		}
	}
}

// finish checks an answer.
func (c *connection) finish(last bool, at time.Time) (bool, time.Time, error) {
	c.busy = false
	answer, err := c.wire.answer()
	if err != nil {
		err = fmt.Errorf("no answer: %w", err)
	} else {
		err = c.loop.target.Check(c.request, Answer{answer}, at)
	}
	if last || !c.wire.reusable() || c.flush() != nil {
		c.close()
	}
	return true, at, err
}

// fail ends the connection, and the request where one was under way.
func (c *connection) fail(err error) (ended bool, at time.Time, failure error) {
	ended, c.busy = c.busy, false
	c.close()
	return ended, time.Now(), fmt.Errorf("no answer: %w", err)
}

// close ends the connection; the next request opens another.
func (c *connection) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
		c.fd = -1
	}
}
