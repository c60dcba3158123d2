package load

import (
	"errors"
	"fmt"
	"time"
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
	// nothing is. It is called by several goroutines at once; at is when the
	// answer had arrived. A failed check counts as a failed request, one that
	// wraps ErrRefused as a refused one.
	Check func(i int, a Answer, at time.Time) error
	// Timeout is how long an answer may take once the request is sent.
	Timeout time.Duration
}

// ErrRefused marks an answer that says the server would rather not: the load
// was too much, and it said so. It is neither a good answer nor a failure.
var ErrRefused = errors.New("refused")

// route is a target made ready for connections.
type route struct {
	target   *Target
	endpoint endpoint
	newWire  func() wire
}

func (t *Target) route() (*route, error) {
	if len(t.Requests) == 0 || t.Check == nil || t.Timeout <= 0 {
		return nil, errors.New("a target needs requests, a check and a timeout")
	}
	network := t.Network
	if t.GRPC {
		network = "tcp"
	}
	to, err := resolve(network, t.Addr)
	if err != nil {
		return nil, fmt.Errorf("address of the target: %w", err)
	}
	if t.GRPC {
		calls := encodeCalls(t)
		return &route{t, to, func() wire { return newHTTP2(calls) }}, nil
	}
	requests := encodeHTTP1(t.Requests)
	return &route{t, to, func() wire { return &http1{requests: requests} }}, nil
}
