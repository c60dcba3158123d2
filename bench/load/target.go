package load

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// Request is one body to post to a path, with the headers that go with it. Over
// gRPC the path is the method's full name and the body its message, encoded. It
// is not changed.
type Request struct {
	Path   string
	Header map[string]string
	Body   []byte
}

// Target is where requests go and what their answers must be.
type Target struct {
	// Network is "tcp" or "unix", Addr a host and port or a socket's path.
	Network, Addr string
	// GRPC sends unary calls over TCP instead of HTTP requests.
	GRPC bool
	// Requests are sent in turn.
	Requests []Request
	// Check says what is wrong with the answer to Requests[i], nil where
	// nothing is. It is called by many goroutines at once; at is when the
	// answer had arrived. A failed check counts as a failed request, one that
	// wraps ErrRefused as a refused one.
	Check func(i int, a Answer, at time.Time) error
	// Timeout is how long an answer may take once the request is sent.
	Timeout time.Duration
}

// ErrRefused marks an answer that says the server would rather not: the load
// was too much, and it said so. It is neither a good answer nor a failure.
var ErrRefused = errors.New("refused")

// Answer is an answer read whole, valid only while it is being checked.
type Answer struct {
	response *fasthttp.Response
	call     *call
}

// Code returns the HTTP status; of a gRPC call the one that means the same.
func (a Answer) Code() int {
	if a.call != nil {
		return a.call.code
	}
	return a.response.StatusCode()
}

// IsMessage reports whether the body is a protocol buffer.
func (a Answer) IsMessage() bool { return a.call != nil }

// Body returns the body; of a gRPC call the message, or what its error says.
func (a Answer) Body() []byte {
	if a.call != nil {
		return a.call.body
	}
	return a.response.Body()
}

// Header returns the value of a header, empty without one.
func (a Answer) Header(name string) []byte {
	if a.call != nil {
		return a.call.header(name)
	}
	return a.response.Header.Peek(name)
}

// EachHeader calls f with every header of the answer; over gRPC with its initial
// metadata.
func (a Answer) EachHeader(f func(name, value string)) {
	if a.call != nil {
		for name, values := range a.call.head {
			f(name, values[0])
		}
		return
	}
	for name, value := range a.response.Header.All() {
		f(string(name), string(value))
	}
}

// connection is one connection that is kept, with one request under way.
type connection interface {
	// do sends request i, reads its answer and checks it. It returns when the
	// answer had arrived.
	do(i int) (at time.Time, err error)
	close()
}

// dial makes a connection, which connects with its first request.
func dial(t *Target) (connection, error) {
	if t.GRPC {
		return dialGRPC(t)
	}
	return dialHTTP(t), nil
}

// httpConnection speaks HTTP/1.1.
type httpConnection struct {
	target   *Target
	client   *fasthttp.HostClient
	requests []fasthttp.Request
	response fasthttp.Response
}

// A buffer takes a whole request of ordinary size, so that it is one write.
const bufferSize = 64 << 10

func dialHTTP(t *Target) *httpConnection {
	c := &httpConnection{target: t, requests: make([]fasthttp.Request, len(t.Requests))}
	c.client = &fasthttp.HostClient{
		Addr: t.Addr, MaxConns: 1, ReadTimeout: t.Timeout, WriteTimeout: t.Timeout,
		ReadBufferSize: bufferSize, WriteBufferSize: bufferSize, NoDefaultUserAgentHeader: true,
		MaxIdemponentCallAttempts: 1,
		RetryIfErr:                func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
		Dial:                      func(addr string) (net.Conn, error) { return net.DialTimeout(t.Network, addr, t.Timeout) },
	}
	for i, from := range t.Requests {
		r := &c.requests[i]
		r.Header.SetMethod(fasthttp.MethodPost)
		r.SetRequestURI("http://localhost" + from.Path)
		for name, value := range from.Header {
			r.Header.Set(name, value)
		}
		r.SetBodyRaw(from.Body)
	}
	return c
}

func (c *httpConnection) do(i int) (at time.Time, err error) {
	err = c.client.Do(&c.requests[i], &c.response)
	at = time.Now()
	if err != nil {
		return at, fmt.Errorf("no answer: %w", err)
	}
	return at, c.target.Check(i, Answer{response: &c.response}, at)
}

func (c *httpConnection) close() { c.client.CloseIdleConnections() }

// Once sends one request and gives its answer to read, without a check.
func Once(t Target, i int, read func(Answer) error) error {
	t.Check = func(_ int, a Answer, _ time.Time) error { return read(a) }
	c, err := dial(&t)
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.do(i)
	return err
}

func (t *Target) validate() error {
	if len(t.Requests) == 0 || t.Check == nil || t.Timeout <= 0 {
		return errors.New("a target needs requests, a check and a timeout")
	}
	return nil
}
