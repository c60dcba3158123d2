package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// arrival is the wait for the one message behind a call's head. Without its end
// a client that sets no deadline and never sends its message would hold a stream
// for ever: the library bounds the head of a connection only. It is guarded by
// the lock of arrivals.
type arrival struct {
	// stream is the call's, by is when the message has to be there.
	stream grpc.ServerTransportStream
	by     time.Time
	// late is set where the time was over, and the stream ended.
	late       bool
	list       *arrivals // nil where it is not waited for
	prev, next *arrival
}

// arrivals are the calls whose messages are waited for, in the order in which
// they came. One timer serves all: it is set for the call that has waited
// longest, and when it fires that one has mostly been answered long ago. A timer
// or a context for each call would cost as much as decoding its message.
type arrivals struct {
	mu sync.Mutex
	// ends is the ring's place before the first and behind the last.
	ends  arrival
	timer *time.Timer // nil while nothing is waited for
}

func newArrivals() *arrivals {
	l := &arrivals{}
	l.ends.prev, l.ends.next = &l.ends, &l.ends
	return l
}

// add waits for the message of a stream for so long. Where a new limit made the
// time shorter, a call may wait as long as the ones before it.
func (l *arrivals) add(a *arrival, stream grpc.ServerTransportStream, now time.Time, within time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.stream, a.by, a.late, a.list = stream, now.Add(within), false, l
	a.prev, a.next = l.ends.prev, &l.ends
	a.prev.next, l.ends.prev = a, a
	if l.timer == nil {
		l.timer = time.AfterFunc(within, l.look)
	}
}

// remove ends the wait and reports whether the time was over. The arrival can
// be used again then.
func (l *arrivals) remove(a *arrival) (late bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unlink(a)
	return a.late
}

func (l *arrivals) unlink(a *arrival) {
	if a.list == nil {
		return
	}
	a.prev.next, a.next.prev = a.next, a.prev
	a.stream, a.list, a.prev, a.next = nil, nil, nil, nil
}

// lateMessage is what a client is told, and its call counted as.
const lateMessage = "the message did not arrive in time"

// look ends the calls whose time is over.
func (l *arrivals) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for first := l.ends.next; ; first = l.ends.next {
		if first == &l.ends {
			l.timer = nil
			return
		}
		if left := first.by.Sub(now); left > 0 {
			l.timer = time.AfterFunc(left, l.look)
			return
		}
		// That the library's streams have this is no promise of its interface:
		// what would not end any more fails a test.
		if stream, ok := first.stream.(interface{ WriteStatus(*status.Status) error }); ok {
			// It only fails where the connection has gone, and the wait with it.
			_ = stream.WriteStatus(status.New(grpcCode(http.StatusRequestTimeout), lateMessage))
		}
		l.unlink(first)
		first.late = true
	}
}

// headed is the context of a call that knows what came before the message.
type headed struct {
	context.Context
	// head is not changed by anybody.
	head metadata.MD
}

type headKey struct{}

// Value finds the head itself, so that it takes no context of its own.
func (h *headed) Value(key any) any {
	if key == (headKey{}) {
		return h
	}
	return h.Context.Value(key)
}

// keepHead is called for every head, by the goroutine that reads the
// connection. The library copies the head for whoever asks later.
func keepHead(ctx context.Context, info *tap.Info) (context.Context, error) {
	return &headed{ctx, info.Header}, nil
}

// headOf is the head of a call, whatever was made of its context.
func headOf(ctx context.Context) metadata.MD {
	return ctx.Value(headKey{}).(*headed).head
}

// await receives the one message of a call, which began now at the latest, and
// reports whether it was not there in time.
func (s *DataServer) await(ctx context.Context, a *arrival, now time.Time, receive func(any) error, message any) (late bool, err error) {
	usual := s.opts.Timeouts.withDefaults().Read
	s.grpc.arrivals.add(a, grpc.ServerTransportStreamFromContext(ctx), now, usual+time.Duration(s.router.load().maxBody/slowestBody)*time.Second)
	err = receive(message)
	return s.grpc.arrivals.remove(a), err
}

// awaiting makes every method of a service with one message wait for it no
// longer than it may take. Streams of messages may ask when they like.
func (s *DataServer) awaiting(desc grpc.ServiceDesc) *grpc.ServiceDesc {
	methods := make([]grpc.MethodDesc, len(desc.Methods))
	for i, m := range desc.Methods {
		methods[i] = grpc.MethodDesc{MethodName: m.MethodName, Handler: func(srv any, ctx context.Context, receive func(any) error, between grpc.UnaryServerInterceptor) (any, error) {
			return m.Handler(srv, ctx, func(message any) error {
				_, err := s.await(ctx, &arrival{}, time.Now(), receive, message)
				return err
			}, between)
		}}
	}
	streams := make([]grpc.StreamDesc, len(desc.Streams))
	for i, m := range desc.Streams {
		streams[i] = m
		if !m.ClientStreams {
			streams[i].Handler = func(srv any, stream grpc.ServerStream) error {
				return m.Handler(srv, awaitedStream{stream, s})
			}
		}
	}
	desc.Methods, desc.Streams = methods, streams
	return &desc
}

// awaitedStream is a stream to the client.
type awaitedStream struct {
	grpc.ServerStream
	server *DataServer
}

// RecvMsg receives the one message.
func (a awaitedStream) RecvMsg(message any) error {
	_, err := a.server.await(a.Context(), &arrival{}, time.Now(), a.ServerStream.RecvMsg, message)
	return err
}
