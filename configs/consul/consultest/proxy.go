package consultest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what the proxy does to one request. The zero Fault passes it on.
type Fault struct {
	// Latency is waited before anything else.
	Latency time.Duration
	// Status answers in place of Consul, with Body.
	Status int
	Body   string
	// Hang never answers, not even after the fault was lifted, as a network
	// that drops packets. It ends when the client gives up.
	Hang bool
	// Close ends the connection without an answer.
	Close bool
	// Index takes the place of the answer's X-Consul-Index, where there is
	// one.
	Index uint64
}

// Proxy stands between a client and an agent.
type Proxy struct {
	// Addr is the proxy's host:port.
	Addr string

	fault    atomic.Pointer[func(*http.Request) Fault]
	requests atomic.Int64
	stop     chan struct{}

	mu     sync.Mutex
	byPath map[string]int
}

// NewProxy passes on to the target (host:port, an Agent's Addr) until the test
// ends or a fault is set.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p := &Proxy{Addr: listener.Addr().String(), stop: make(chan struct{}), byPath: map[string]int{}}
	p.Set(Fault{})
	to := &url.URL{Scheme: "http", Host: target}
	passOn := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:      &http.Transport{DisableKeepAlives: true},
		FlushInterval:  -1,
		ModifyResponse: p.answer,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			// The agent is away: to the client that is a broken connection.
			abort(w)
		},
	}
	server := &http.Server{Handler: p.handler(passOn)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		// Serve always ends with an error, here because of Close.
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		close(p.stop)
		_ = server.Close()
		<-served
	})
	return p
}

// Set does fault to every request from now on, and to the answers of those
// that wait already.
func (p *Proxy) Set(fault Fault) {
	p.SetFunc(func(*http.Request) Fault { return fault })
}

// SetFunc chooses the fault by request. It is called for the request and again
// for its answer, from many goroutines.
func (p *Proxy) SetFunc(fault func(*http.Request) Fault) { p.fault.Store(&fault) }

// Requests counts the requests so far.
func (p *Proxy) Requests() int { return int(p.requests.Load()) }

// RequestsTo counts the requests to one path so far.
func (p *Proxy) RequestsTo(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byPath[path]
}

func (p *Proxy) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		p.mu.Lock()
		p.byPath[r.URL.Path]++
		p.mu.Unlock()
		fault := (*p.fault.Load())(r)
		if fault.Latency > 0 && !p.wait(r.Context(), fault.Latency) {
			abort(w)
			return
		}
		switch {
		case fault.Hang:
			p.wait(r.Context(), time.Hour)
			abort(w)
		case fault.Close:
			abort(w)
		case fault.Status != 0:
			w.WriteHeader(fault.Status)
			_, _ = w.Write([]byte(fault.Body))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// errFault makes the reverse proxy drop an answer.
var errFault = errors.New("fault")

// answer does the fault to an answer that the agent gave meanwhile.
func (p *Proxy) answer(response *http.Response) error {
	fault := (*p.fault.Load())(response.Request)
	if fault.Hang {
		p.wait(response.Request.Context(), time.Hour)
	}
	if fault.Hang || fault.Close {
		return errFault
	}
	if fault.Status != 0 {
		// The headers stay the agent's, as far as they do not describe its body.
		response.Header.Del("Content-Length")
		response.Header.Del("Content-Encoding")
		response.StatusCode, response.ContentLength = fault.Status, int64(len(fault.Body))
		err := response.Body.Close()
		response.Body = io.NopCloser(strings.NewReader(fault.Body))
		return err
	}
	if fault.Index != 0 && response.Header.Get("X-Consul-Index") != "" {
		response.Header.Set("X-Consul-Index", strconv.FormatUint(fault.Index, 10))
	}
	return nil
}

// wait reports whether all of d passed.
func (p *Proxy) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-p.stop:
	}
	return false
}

// abort ends the connection without an answer.
func abort(w http.ResponseWriter) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	connection, _, err := hijacker.Hijack()
	if err == nil {
		_ = connection.Close()
	}
}
