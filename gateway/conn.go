package gateway

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// lingerBytes and lingerTime bound what is read of a request that was
	// refused before its body had been read. Closing at once would make the
	// kernel reset the connection, and many a client that is still sending
	// would never see the answer.
	lingerBytes = 1 << 20
	lingerTime  = 500 * time.Millisecond
)

// conn is a connection with what its current request holds.
type conn struct {
	net.Conn
	timeouts Timeouts
	// reading and writing belong to the goroutine that serves the connection.
	reading, writing deadline
	// current is the request being answered, from its handler's begin until
	// the answer is written: the answer's bytes lie in its memory. It belongs
	// to the goroutine that serves the connection.
	current *httpCall
	// unread is set where the answer goes out before the body was read, and
	// the connection is closed.
	unread atomic.Bool
	// leftover is how much of it is to be read past before the next request,
	// where the connection is kept. It and withheld, which is set while nothing
	// may be read, belong to the goroutine that serves the connection.
	leftover int64
	withheld bool
}

// connState gives a request's memory back once its answer is written, or the
// connection is lost, and says how long what comes next may take. All states
// but the first are told by the goroutine that serves the connection.
func connState(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateActive: // the first byte of a request is there
		c.reading.wanted, c.writing.wanted = time.Time{}, time.Time{}
	case fasthttp.StateIdle, fasthttp.StateClosed:
		if c.current != nil {
			c.reading.wanted = c.current.ended.Add(c.timeouts.Idle)
			c.current.release()
			c.current = nil
		}
	}
}

// Close ends the connection, after a short look for the rest of a body that
// nobody read. A shutdown calls it from another goroutine.
func (c *conn) Close() error {
	if c.unread.Swap(false) {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil &&
			c.Conn.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			io.CopyN(io.Discard, c.Conn, lingerBytes) // an error ends it as well as the end does
		}
	}
	return c.Conn.Close()
}

// connListener wraps what a listener accepts.
type connListener struct {
	net.Listener
	timeouts Timeouts
}

// Close may be called again: a drain closes what the library knows of, and then
// all listeners.
func (l connListener) Close() error {
	if err := l.Listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Accept waits for the next connection.
func (l connListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// wrap is a connection that was accepted.
func (l connListener) wrap(c net.Conn) *conn {
	wait := deadline{exact: endsOnlyOnce(c)}
	return &conn{Conn: c, timeouts: l.timeouts, reading: wait, writing: wait}
}
