package gateway

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

const (
	// leftoverBytes is the largest unread body, of a known length, behind which
	// the connection is kept. A connection that is closed has to be made again,
	// which costs more than to read past so much.
	leftoverBytes = 1 << 20
	// chunkedBytes is the same of a body in chunks, which is read before the
	// answer goes out, for at most chunkedTime.
	chunkedBytes = 64 << 10
	chunkedTime  = 50 * time.Millisecond
)

// errWithheld is what a connection says instead of reading while only what was
// read already is wanted.
var errWithheld = errors.New("withheld")

// leave sees that the next request can be found behind a body that nobody
// wants, and reports whether it can. What has come of a body of a known length
// is forgotten, and the connection reads past the rest once the answer is out:
// neither waits for the other. For the rest there is as much time as for the
// next request.
func (b *body) leave(ctx *fasthttp.RequestCtx, c *conn) bool {
	stream := ctx.RequestBodyStream()
	if b.done || stream == nil {
		return true
	}
	length := int64(ctx.Request.Header.ContentLength())
	if b.broken || length > leftoverBytes || ctx.Request.Header.ConnectionClose() || ctx.Response.ConnectionClose() {
		return false
	}
	if length < 0 {
		return b.drain(ctx, stream)
	}
	c.withheld = true
	n, err := io.Copy(io.Discard, stream)
	c.withheld = false
	if b.done = err == nil; !b.done {
		c.leftover = length - n
	}
	return true
}

// drain reads a body in chunks and reports whether its end was reached.
func (b *body) drain(ctx *fasthttp.RequestCtx, stream io.Reader) bool {
	if ctx.Conn().SetReadDeadline(time.Now().Add(chunkedTime)) != nil {
		return false
	}
	// One byte more than the limit tells a body of just that size from a larger one.
	_, err := io.CopyN(io.Discard, stream, chunkedBytes+1)
	b.done = errors.Is(err, io.EOF)
	return b.done
}

// readPast reads the rest of a body that nobody wants. An error, of which the
// wait's end is one, leaves what has not come for the next call.
func (c *conn) readPast() error {
	for c.leftover > 0 {
		n, err := c.discard(c.leftover)
		c.leftover -= n
		if err != nil {
			return err
		}
	}
	return nil
}

// discard waits for some bytes and forgets them, at most limit. Over TCP the
// kernel does not even copy them.
func (c *conn) discard(limit int64) (n int64, err error) {
	socket, ok := c.Conn.(*net.TCPConn)
	if !ok {
		return io.CopyN(io.Discard, c.Conn, limit)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var got uintptr
	var errno unix.Errno
	err = raw.Read(func(fd uintptr) bool {
		for {
			got, _, errno = unix.Syscall6(unix.SYS_RECVFROM, fd, 0, uintptr(limit), unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0, 0)
			if errno != unix.EINTR {
				return errno != unix.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, errno
	case got == 0:
		return 0, io.EOF
	}
	return int64(got), nil
}
