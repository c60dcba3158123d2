package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	// grpcWindow is how much of one message may be under way unread, and of
	// all messages of a connection.
	grpcWindow     = 1 << 20
	grpcConnWindow = 4 << 20
	// grpcStreams bounds the requests of one connection at once.
	grpcStreams = 1000
	// grpcWorkers answer calls one after the other on stacks that have grown
	// to what a call takes; calls beyond them get a goroutine of their own.
	grpcWorkers = 64
	// grpcPing is how often a client may ask whether the connection lives;
	// who asks more often is cut off.
	grpcPing = 5 * time.Second
	// grpcIdle is how long a shutdown waits for streams on which nothing is
	// asked.
	grpcIdle = time.Second
)

// grpcServers answer the data API over gRPC. The library fixes the largest
// message when a server is made, so that a new limit in the settings takes a
// new server: connections of the old one are told to go, and finish what they
// have begun.
type grpcServers struct {
	data     *DataServer
	calls    sync.Pool
	active   atomic.Int64
	stopping chan struct{}
	arrivals *arrivals
	// connections are those that are open, over all listeners.
	connections atomic.Int64

	limit   atomic.Int64
	mu      sync.Mutex
	current *grpcGeneration
	open    []net.Listener
	closed  bool
	// live are the servers that have not ended, generations their goroutines.
	live        map[*grpcGeneration]struct{}
	generations sync.WaitGroup
}

// grpcGeneration is one server and the listener that hands it connections.
type grpcGeneration struct {
	server *grpc.Server
	conns  chan net.Conn
	done   chan struct{}
	close  func()
}

func newGRPCServers(s *DataServer) *grpcServers {
	g := &grpcServers{data: s, stopping: make(chan struct{}), arrivals: newArrivals(), live: map[*grpcGeneration]struct{}{}}
	g.calls.New = func() any { return newGRPCCall(s) }
	return g
}

// Accept waits for a connection that was handed over.
func (g *grpcGeneration) Accept() (net.Conn, error) {
	select {
	case c := <-g.conns:
		return c, nil
	case <-g.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (g *grpcGeneration) Close() error {
	g.close()
	return nil
}

// Addr is none: connections come from several listeners.
func (g *grpcGeneration) Addr() net.Addr { return &net.TCPAddr{} }

// generation returns the server for the limit in force, nil when all has been
// closed. The caller holds the lock.
func (g *grpcServers) generation(limit int64) *grpcGeneration {
	if g.closed || g.current != nil && g.limit.Load() == limit {
		return g.current
	}
	timeouts := g.data.opts.Timeouts.withDefaults()
	next := &grpcGeneration{conns: make(chan net.Conn), done: make(chan struct{})}
	next.close = sync.OnceFunc(func() { close(next.done) })
	next.server = grpc.NewServer(
		grpc.Creds(newKnownConns()), grpc.ForceServerCodecV2(newFrameCodec()), grpc.MaxRecvMsgSize(int(limit)), grpc.MaxHeaderListSize(maxHead),
		grpc.MaxConcurrentStreams(grpcStreams), grpc.NumStreamWorkers(grpcWorkers), grpc.InitialWindowSize(grpcWindow), grpc.InitialConnWindowSize(grpcConnWindow),
		grpc.ConnectionTimeout(timeouts.Read), grpc.InTapHandle(keepHead),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: grpcPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 10 * timeouts.Idle, Time: timeouts.Idle, Timeout: timeouts.Write}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			return g.data.refuseStream(stream, endpointUnknown, "no such method")
		}),
	)
	next.server.RegisterService(g.data.inferenceServiceDesc(), inferenceService{server: g.data})
	g.data.registerBeside(next.server)
	if old := g.current; old != nil {
		g.generations.Go(func() {
			old.server.GracefulStop()
			g.mu.Lock()
			defer g.mu.Unlock()
			delete(g.live, old)
		})
	}
	g.current = next
	g.limit.Store(limit)
	g.live[next] = struct{}{}
	g.generations.Go(func() {
		if err := next.server.Serve(next); err != nil {
			g.data.opts.Log.Error("gRPC server ended", "error", err)
		}
	})
	return next
}

// follow puts a new limit into force.
func (g *grpcServers) follow(limit int64) {
	if g.limit.Load() == limit {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.generation(limit)
}

// ServeGRPC answers the data API over gRPC on a listener until Drain closes it.
// It may be called for several listeners at once.
func (s *DataServer) ServeGRPC(ln net.Listener) error {
	g := s.grpc
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return ln.Close()
	}
	g.open = append(g.open, ln)
	g.mu.Unlock()
	for {
		conn, err := ln.Accept()
		var passing interface{ Temporary() bool }
		switch {
		case err == nil:
			if g.connections.Add(1) > int64(s.opts.MaxConnections) {
				g.connections.Add(-1)
				s.log("connection refused", "over", "gRPC", "limit", s.opts.MaxConnections)
				_ = conn.Close() // nothing was said over it
				continue
			}
			g.hand(&grpcConn{Conn: conn, leave: sync.OnceFunc(func() { g.connections.Add(-1) })})
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.As(err, &passing) && passing.Temporary(): // too many open files, for one
			time.Sleep(10 * time.Millisecond)
		default:
			return fmt.Errorf("serve %s: %w", ln.Addr(), err)
		}
	}
}

// hand gives a connection to the server in force.
func (g *grpcServers) hand(conn net.Conn) {
	for {
		g.mu.Lock()
		to := g.generation(g.data.router.load().maxBody)
		closed := g.closed
		g.mu.Unlock()
		if closed {
			conn.Close()
			return
		}
		select {
		case to.conns <- conn:
			return
		case <-to.done: // replaced in between
		}
	}
}

// shutdown closes the listeners and answers what was begun, until ctx ends.
// Streams that are open only to ask for more do not keep it.
func (g *grpcServers) shutdown(ctx context.Context) error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	close(g.stopping)
	for _, ln := range g.open {
		_ = ln.Close() // what it was for is over
	}
	var servers []*grpc.Server
	for one := range g.live {
		servers = append(servers, one.server)
		g.generations.Go(one.server.GracefulStop)
	}
	g.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		g.generations.Wait()
		close(ended)
	}()
	err := g.await(ctx, ended)
	for _, server := range servers {
		server.Stop()
	}
	if err == nil {
		<-ended
	}
	return err
}

// await waits until all has ended, or until nothing has been asked for a while.
func (g *grpcServers) await(ctx context.Context, ended <-chan struct{}) error {
	ticker := time.NewTicker(grpcIdle / 10)
	defer ticker.Stop()
	for idle := time.Duration(0); idle < grpcIdle; {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			idle += grpcIdle / 10
			if g.active.Load() > 0 {
				idle = 0
			}
		}
	}
	return nil
}
