package load

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// Request is one body to post, with the headers that go with it. It is not
// changed.
type Request struct {
	Path   string
	Header map[string]string
	Body   []byte
}

// Target is where requests go and what their answers must be.
type Target struct {
	// Network is "tcp" or "unix", Addr a host and port or a socket's path.
	Network, Addr string
	// Requests are sent in turn.
	Requests []Request
	// Check says what is wrong with the answer to Requests[i], nil where
	// nothing is. It is called by many goroutines at once; at is when the
	// answer had arrived. A failed check counts as a failed request.
	Check func(i int, a Answer, at time.Time) error
	// Timeout is how long an answer may take once the request is sent.
	Timeout time.Duration
}

// Answer is an answer read whole, valid only while it is being checked.
type Answer struct{ response *fasthttp.Response }

// Code returns the HTTP status.
func (a Answer) Code() int { return a.response.StatusCode() }

// Body returns the body.
func (a Answer) Body() []byte { return a.response.Body() }

// Header returns the value of a header, empty without one.
func (a Answer) Header(name string) []byte { return a.response.Header.Peek(name) }

// EachHeader calls f with every header of the answer.
func (a Answer) EachHeader(f func(name, value string)) {
	for name, value := range a.response.Header.All() {
		f(string(name), string(value))
	}
}

// connection is one keep-alive connection with one request under way.
type connection struct {
	target   *Target
	client   *fasthttp.HostClient
	requests []fasthttp.Request
	response fasthttp.Response
}

// A buffer takes a whole request of ordinary size, so that it is one write.
const bufferSize = 64 << 10

func dial(t *Target) *connection {
	c := &connection{target: t, requests: make([]fasthttp.Request, len(t.Requests))}
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

// do sends request i, reads its answer and checks it. It returns when the
// answer had arrived.
func (c *connection) do(i int) (at time.Time, err error) {
	err = c.client.Do(&c.requests[i], &c.response)
	at = time.Now()
	if err != nil {
		return at, fmt.Errorf("no answer: %w", err)
	}
	return at, c.target.Check(i, Answer{&c.response}, at)
}

func (c *connection) close() { c.client.CloseIdleConnections() }

// Once sends one request and gives its answer to read, without a check.
func Once(t Target, i int, read func(Answer) error) error {
	t.Check = func(_ int, a Answer, _ time.Time) error { return read(a) }
	c := dial(&t)
	defer c.close()
	_, err := c.do(i)
	return err
}

func (t *Target) validate() error {
	if len(t.Requests) == 0 || t.Check == nil || t.Timeout <= 0 {
		return errors.New("a target needs requests, a check and a timeout")
	}
	return nil
}
