package gateway

import (
	"context"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// client is the context of a call over HTTP. It ends when its client is found
// to be gone, and that is looked for only where the model is about to be run
// for a request that waited, or its answer to be encoded behind a long run: a
// request that is answered at once pays nothing. During a run that can be ended
// leavers look. Its methods are called by one
// goroutine after the other.
type client struct {
	context.Context
	call *httpCall
	// asked is set once the executor was given the request, gone once the
	// client was found to be.
	asked, gone bool
}

// worthALook is the time under way from which on it is looked for the client.
const worthALook = 2 * time.Millisecond

// Err returns context.Canceled once the client is gone. The executor asks when
// it is given the request, when its turn has come and, through the gateway,
// when the model has run.
func (c *client) Err() error {
	ran := c.call.run.Ran > 0
	switch {
	case c.gone:
	case !c.asked:
		c.asked = true
		return nil
	case ran && c.call.run.Queued+c.call.run.Ran < worthALook, !hungUp(c.call.conn.Conn):
		return nil
	}
	c.gone = true
	return context.Canceled
}

// hungUp reports whether nobody is left at the other end of a connection. On a
// Unix socket that is known. On TCP a client that has gone and one that only
// says that it sends no more look the same until something is sent; as with
// other servers of HTTP, the second counts as gone too.
//
// The kernel is asked for the state and not for bytes: what a client sent ahead
// of its next request, or TLS says in closing, would hide the end behind it.
func hungUp(c net.Conn) bool {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = over.NetConn()
	}
	events := int16(unix.POLLRDHUP | unix.POLLHUP | unix.POLLERR)
	if _, ok := c.(*net.UnixConn); ok {
		events = unix.POLLHUP | unix.POLLERR // reported only once both directions are closed
	}
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true // closed on this side
	}
	hung := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(fds, 0)
		hung = err == nil && n > 0 && fds[0].Revents&events != 0
	})
	return hung || err != nil
}
