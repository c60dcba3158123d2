package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/time/rate"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
)

const (
	defaultMaxBody     = int64(configs.DefaultMaxBody)
	defaultMaxInFlight = int64(configs.DefaultMaxInFlight)
	// maxHead bounds a request's line and header fields together.
	maxHead               = 8 << 10
	defaultMaxConnections = 16 << 10
)

// Timeouts bound how long a client may take. Zero fields take the defaults.
type Timeouts struct {
	// Read is from a request's first byte to its last; each megabyte of it that
	// has come gives a second more. Default 5s.
	Read time.Duration
	// Write is how long an answer may take to be sent. Default 30s.
	Write time.Duration
	// Idle is how long a connection may wait for its next request. Default
	// 60s.
	Idle time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	defaults := Timeouts{Read: 5 * time.Second, Write: 30 * time.Second, Idle: time.Minute}
	if t.Read == 0 {
		t.Read = defaults.Read
	}
	if t.Write == 0 {
		t.Write = defaults.Write
	}
	if t.Idle == 0 {
		t.Idle = defaults.Idle
	}
	return t
}

// DataOptions are what a DataServer is made of.
type DataOptions struct {
	// Version is the program's, for the server's metadata.
	Version string
	// Platform and Backend name what runs the models, as metadata and model
	// configuration show it: "onnxruntime_onnx" and "onnxruntime".
	Platform, Backend string
	// ConfiguredIn says in words where the configuration lives, for those who
	// ask to load a model: "documents in Consul". It is shown to clients.
	ConfiguredIn string
	// Executor runs the models; the metrics show how busy it is.
	Executor *batch.Executor
	// Pool gives the memory of tensors and of large bodies.
	Pool     *runtime.Pool
	Timeouts Timeouts
	// MaxConnections bounds the connections over HTTP, and those over gRPC; 0
	// is 16384. What comes above is closed at once, over HTTP with 503.
	MaxConnections int
	Log            *slog.Logger
}

// DataServer answers the data API over HTTP/1.1 and gRPC, on any number of
// listeners.
type DataServer struct {
	opts    DataOptions
	router  *router
	metrics *Metrics
	http    *fasthttp.Server
	grpc    *grpcServers

	inFlight atomic.Int64
	draining atomic.Bool
	// drained is told when draining begins, once.
	drained func()
	// heard is told that there is feedback. It never blocks.
	heard    func()
	ids      *idMaker
	requests requestIDs
	codec    codec
	seen     *feedbackSeen
	shadows  *shadows
	leavers  *leavers
	// stopHelpers ends the goroutines of shadows and leavers, which begin with
	// the first listener.
	stopHelpers context.CancelFunc
	calls       sync.Pool
	stripes     atomic.Uint32
	// mishaps bounds how often what goes wrong with single requests is logged.
	mishaps *rate.Limiter
	serving sync.WaitGroup
	// mu guards the listeners that are served and whether the server is
	// drained.
	mu        sync.Mutex
	listeners []net.Listener
	stopped   bool
}

func newDataServer(rt *router, m *Metrics, opts DataOptions) *DataServer {
	if opts.MaxConnections == 0 {
		opts.MaxConnections = defaultMaxConnections
	}
	s := &DataServer{
		opts: opts, router: rt, metrics: m, drained: func() {}, heard: func() {}, mishaps: rate.NewLimiter(1, 10),
		ids: newIDMaker(nil), requests: newRequestIDs(), seen: newFeedbackSeen(seenHalf), codec: codec{pool: opts.Pool},
		shadows: newShadows(opts), leavers: newLeavers(), stopHelpers: func() {},
	}
	s.calls.New = func() any { return newHTTPCall(s) }
	s.http = &fasthttp.Server{
		Handler: s.handle, ExpectHandler: s.expect, ErrorHandler: s.refuse, ConnState: connState,
		HeaderReceived: func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
			return announce(h, s.router.load().maxBody)
		},
		ReadBufferSize: maxHead, WriteBufferSize: maxHead, Concurrency: opts.MaxConnections,
		StreamRequestBody: true, DisablePreParseMultipartForm: true, SecureErrorLogMessage: true,
		NoDefaultServerHeader: true, NoDefaultContentType: true, CloseOnShutdown: true,
		Logger: fasthttpLog{opts.Log},
	}
	s.grpc = newGRPCServers(s)
	m.watchServing(s.state)
	return s
}

// state is what the metrics show of the data path.
func (s *DataServer) state() servingState {
	t := s.router.load()
	ready, _ := s.ready()
	executor := s.opts.Executor.Stats()
	state := servingState{ready: ready, inFlight: s.inFlight.Load(), inFlightLimit: t.maxInFlight, workers: executor.Permits, busy: executor.Busy}
	for _, m := range t.models {
		for _, v := range m.versions {
			if v.runner != nil {
				q := v.runner.Stats()
				state.queues = append(state.queues, queueState{versionName{v.model, v.version}, q.Queued, q.QueueLimit})
				state.breakers = append(state.breakers, breakerStanding{versionName{v.model, v.version}, v.breaker.state()})
			}
		}
	}
	return state
}

// announce says how the body behind a head is to be read. The HTTP library
// would wait for the first 8 KiB of it before it calls the handler: of one
// within the limit it waits for a byte only, so that who is cut off hears how
// far the body came, and for nothing of one over the limit, which is refused by
// its length alone. To the library such a body comes in chunks, whose reading
// is left to the handler; restoreLength undoes that.
func announce(h *fasthttp.RequestHeader, limit int64) fasthttp.RequestConfig {
	if int64(h.ContentLength()) > limit {
		h.SetContentLength(-1)
		h.Del("Expect") // nobody is asked to go on
	}
	return fasthttp.RequestConfig{MaxRequestBodySize: 1}
}

// restoreLength makes the length of a body that announce hid over any limit,
// because the limit may have changed since. sized reports that the head has a
// length, as no body in chunks does.
func restoreLength(h *fasthttp.RequestHeader, sized bool) {
	if sized && h.ContentLength() == -1 {
		h.SetContentLength(math.MaxInt)
	}
}

// Serve answers on a listener until Drain closes it. It may be called for
// several listeners at once.
func (s *DataServer) Serve(ln net.Listener) error {
	if !s.begin(ln) {
		return nil
	}
	defer s.serving.Done()
	if err := s.http.Serve(connListener{ln, s.opts.Timeouts.withDefaults()}); err != nil {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	return nil
}

// begin notes a listener that is about to be served. Where the server is
// drained already it closes the listener and returns false.
func (s *DataServer) begin(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		_ = ln.Close() // nobody was told of it yet
		return false
	}
	if len(s.listeners) == 0 {
		var ctx context.Context
		ctx, s.stopHelpers = context.WithCancel(context.Background())
		s.serving.Go(func() { s.shadows.run(ctx) })
		s.serving.Go(func() { s.leavers.run(ctx) })
	}
	s.listeners = append(s.listeners, ln)
	s.serving.Add(1)
	return true
}

// closeListeners ends every Serve. The HTTP library closes those that it knows
// of, and one whose Serve has only just begun is not among them.
func (s *DataServer) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.stopHelpers()
	for _, ln := range s.listeners {
		_ = ln.Close() // most are closed already
	}
}

// ready says whether the gateway is ready, and why it is not.
func (s *DataServer) ready() (bool, string) {
	if s.draining.Load() {
		return false, "the gateway is shutting down"
	}
	t := s.router.load()
	return t.ready, t.why
}

// NotReady makes the gateway say from now on that it is not ready. It goes on
// answering, until whoever balances load has noticed.
func (s *DataServer) NotReady() {
	if !s.draining.Swap(true) {
		s.drained()
	}
}

// Drain shuts the server down: not ready at once, all listeners closed after
// delay, and then every request that was begun is answered. It returns when
// all connections are closed, or with an error when ctx ends before.
func (s *DataServer) Drain(ctx context.Context, delay time.Duration) error {
	s.NotReady()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
	overGRPC := make(chan error, 1)
	go func() { overGRPC <- s.grpc.shutdown(ctx) }()
	err := errors.Join(s.http.ShutdownWithContext(ctx), <-overGRPC)
	s.closeListeners()
	if err != nil {
		return fmt.Errorf("drain: %d requests are still being answered: %w", s.inFlight.Load(), err)
	}
	s.serving.Wait()
	return nil
}

// log says that something went wrong with one request, as long as that does
// not happen all the time; the metrics count every time.
func (s *DataServer) log(message string, args ...any) {
	if s.mishaps.Allow() {
		s.opts.Log.Warn(message, args...)
	}
}

// handle answers one request.
func (s *DataServer) handle(ctx *fasthttp.RequestCtx) {
	c := ctx.Conn().(*conn).current
	if c == nil { // otherwise expect has begun it
		c = s.calls.Get().(*httpCall)
		c.begin(ctx, ctx.Time())
	}
	defer c.end()
	defer c.recovered()
	restoreLength(&ctx.Request.Header, c.head.sized)
	if c.admitted != nil || c.enter() {
		c.answer()
	}
}

// enter looks at all of a request's head that does not depend on its route,
// finds the route and passes the gate, and reports whether the request may go
// on; otherwise the answer is given.
func (c *httpCall) enter() bool {
	if c.head.problem != "" {
		c.ctx.SetConnectionClose()
		status := http.StatusBadRequest
		if c.head.many {
			status = http.StatusRequestHeaderFieldsTooLarge
		}
		c.fail(status, c.head.problem)
		return false
	}
	c.route.parse(pathOf(c.ctx.Request.Header.RequestURI()))
	if !c.admit() {
		return false
	}
	if c.route.endpoint == endpointUnknown {
		c.fail(http.StatusNotFound, "no such route")
		return false
	}
	if !c.route.endpoint.takes(c.ctx.Method()) {
		c.ctx.Response.Header.Set("Allow", c.route.endpoint.allow())
		c.fail(http.StatusMethodNotAllowed, "method not allowed: use "+c.route.endpoint.allow())
		return false
	}
	return true
}

// recovered makes a panic an error of this request alone. It is deferred.
func (c *httpCall) recovered() {
	if p := recover(); p != nil {
		c.server.opts.Log.Error("request handler panicked", "panic", p, "stack", string(debug.Stack()))
		c.ctx.SetConnectionClose()
		c.fail(http.StatusInternalServerError, "internal error")
	}
}

// refuse answers what could not be read as a request. The connection is
// closed behind it.
func (s *DataServer) refuse(ctx *fasthttp.RequestCtx, err error) {
	c := ctx.Conn().(*conn).current
	if c == nil { // otherwise the body that expect asked for did not come
		c = s.calls.Get().(*httpCall)
		c.begin(ctx, time.Now())
	}
	defer c.end()
	c.conn.unread.Store(true)
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		c.fail(http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the request's line and header fields are over the limit of %d bytes", maxHead))
	case isTimeout(err):
		c.fail(http.StatusRequestTimeout, "the request did not arrive in time")
	case err == io.ErrUnexpectedEOF: // a head's is wrapped; one byte of the body is all that the library waits for
		c.failWith(c.body.ended(err, 1))
	default:
		c.fail(http.StatusBadRequest, "malformed HTTP request")
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// fasthttpLog takes the messages of the HTTP library, which are about single
// connections.
type fasthttpLog struct{ log *slog.Logger }

// Printf logs at debug level.
func (l fasthttpLog) Printf(format string, args ...any) {
	l.log.Debug("connection", "message", fmt.Sprintf(format, args...))
}
